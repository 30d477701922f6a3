import asyncio
from base64 import b64decode
from urllib.parse import parse_qs

import pytest
from tests.gateways.tool.streaming import Client
from tests.gateways.tool.world import SECRET, World, play, text_of

from ringfence.domain.error import UnavailableError
from ringfence.domain.tool import OAuthClient, ToolServer
from ringfence.enforcement.oauth import ClientCredentials
from ringfence.stores.secret import EnvironmentSecrets
from ringfence.testing.tools.plan import Plan
from ringfence.transport.client import Pool
from ringfence.transport.http import Request, Response
from ringfence.transport.server import Server


class Issuer:
    """Gives out tokens."""

    def __init__(self, answer: bytes = b"", status: int = 200) -> None:
        self.answer = answer or b'{"access_token":"%b","expires_in":"3600"}' % SECRET.encode()
        self.status = status
        self.asked: list[tuple[str, dict[str, list[str]]]] = []

    async def handle(self, request: Request, response: Response) -> None:
        pair = (request.header(b"authorization") or b"").removeprefix(b"Basic ")
        form = parse_qs((await request.read(1000)).decode())
        self.asked.append((b64decode(pair).decode(), form))
        response.send(self.status, ((b"content-type", b"application/json"),), self.answer)


def test_a_server_gets_a_token_that_was_got_for_it_and_once() -> None:
    async def scene(world: World) -> None:
        issuer = Issuer()
        server = Server(issuer.handle)
        port = await server.listen("127.0.0.1", 0)
        url = f"http://127.0.0.1:{port}/token"
        oauth = OAuthClient(client="us", secret="CRM", token_url=url, scopes=("a", "b"))
        await world.redefine("crm", oauth=oauth)
        for is_legacy in (True, False):
            client = Client(world)
            if is_legacy:
                await client.begin()
            params = {"name": "echo", "arguments": {"text": "x"}}
            assert text_of((await client.ask("tools/call", params))[-1]) == "x"
        [(pair, form)] = issuer.asked
        assert pair == f"us:{SECRET}"
        assert (form["grant_type"], form["scope"]) == (["client_credentials"], ["a b"])
        assert form["resource"] == [world.config.tools["crm"].url]
        await server.close()

    play(scene, Plan(name="crm", token=SECRET))


def test_a_tool_that_shows_the_token_is_withheld_and_recorded() -> None:
    token = "a-minted-token-0123456789-abcdef"

    async def scene(world: World) -> None:
        issuer = Issuer(b'{"access_token":"%b","expires_in":3600}' % token.encode())
        server = Server(issuer.handle)
        port = await server.listen("127.0.0.1", 0)
        oauth = OAuthClient(client="us", secret="CRM", token_url=f"http://127.0.0.1:{port}/token")
        await world.redefine("crm", oauth=oauth)
        client = Client(world)
        fine = {"name": "echo", "arguments": {"text": "x"}}
        assert text_of((await client.ask("tools/call", fine))[-1]) == "x"
        for shown in (token, token.replace("-", "%252d")):
            params = {"name": "echo", "arguments": {"text": shown}}
            told = text_of((await client.ask("tools/call", params))[-1])
            assert "withheld" in told
            assert shown not in told
        # A reload leaves it known: it may be good for long.
        world.worker.replace_secrets(EnvironmentSecrets(frozenset({"CRM"}), {"CRM": SECRET}))
        assert world.worker.secret_scans.finds(token.encode())
        await world.turns(lambda: world.ledger.changes.count("finding.secret_shown") == 2)
        await server.close()

    play(scene, Plan(name="crm", token=token))


@pytest.mark.parametrize(
    ("answer", "status"),
    [(b"{}", 200), (b"no", 200), (b"", 500), (b'{"access_token":"a\\nb"}', 200)],
)
def test_what_is_no_token_is_told_without_any_secret(answer: bytes, status: int) -> None:
    async def run() -> None:
        issuer = Issuer(answer or b"{}", status)
        server, pool = Server(issuer.handle), Pool()
        port = await server.listen("127.0.0.1", 0)
        url = f"http://127.0.0.1:{port}/token"
        oauth = OAuthClient(client="us", secret="CRM", token_url=url)
        asked = ToolServer(name="crm", url="http://crm/", oauth=oauth)
        with pytest.raises(UnavailableError, match="no access token") as failed:
            await ClientCredentials(pool).token(asked, SECRET)
        assert SECRET not in f"{failed.value}{failed.value.help}"
        await pool.close()
        await server.close()

    asyncio.run(run())

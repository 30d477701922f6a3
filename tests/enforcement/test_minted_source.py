import asyncio

import pytest

from ringfence.domain.error import UnavailableError
from ringfence.domain.secret import Grant, Minting
from ringfence.enforcement.minted_source import MintedSource, minting
from ringfence.enforcement.oauth import TokenOrder
from ringfence.transport.client import Pool
from ringfence.transport.http import Request, Response
from ringfence.transport.server import Server

RULES = Minting(grant=Grant.CLIENT_CREDENTIALS, token_url="https://t.example/t", client="us")


def test_another_token_is_due_in_the_last_fifth_or_when_a_proof_has_changed() -> None:
    proofs: list[str | None] = ["one", ""]
    asked: list[TokenOrder] = []

    def mint(order: TokenOrder) -> tuple[str, float]:
        asked.append(order)
        return f"token of {order.client_secret}", 50.0 * len(asked)

    source = MintedSource("crm", RULES, lambda: (proofs[0], proofs[1]), mint)
    assert source.has_changed()
    found = source.fetch()
    assert found is not None
    assert (found.reveal(), source.refresh_s, source.has_changed()) == ("token of one", 40.0, False)
    proofs[0] = "two"
    assert source.has_changed()
    source.fetch()
    assert source.refresh_s == 80.0
    for missing in (0, 1):
        proofs[missing] = None
        with pytest.raises(UnavailableError, match="secret `crm` has no value"):
            source.fetch()
    assert len(asked) == 2


def test_a_token_is_got_from_another_thread_and_a_failure_is_told() -> None:
    async def handle(request: Request, response: Response) -> None:
        await request.read(1000)
        answer = b'{"access_token":"a-token","expires_in":130}'
        response.send(200 if request.path == b"/t" else 500, (), answer)

    async def run() -> None:
        server, pool = Server(handle), Pool()
        port = await server.listen("127.0.0.1", 0)
        mint = minting(pool, asyncio.get_running_loop())

        def order(path: str) -> TokenOrder:
            url = f"http://127.0.0.1:{port}{path}"
            return TokenOrder(token_url=url, form={}, purpose="secret `crm`", key="`mint`")

        token, lasts_s = await asyncio.to_thread(mint, order("/t"))
        assert (token, 95 < lasts_s <= 100) == ("a-token", True)
        with pytest.raises(UnavailableError, match="no access token for secret `crm`"):
            await asyncio.to_thread(mint, order("/other"))
        await pool.close()
        await server.close()

    asyncio.run(run())

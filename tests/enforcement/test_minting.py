import asyncio
from base64 import b64decode
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs

import pytest
from tests.planes import soon

from ringfence.domain.error import UnavailableError
from ringfence.domain.secret import Grant, Minting
from ringfence.enforcement.minting import Mint, order_of
from ringfence.transport.client import Pool
from ringfence.transport.http import Request, Response
from ringfence.transport.server import Server

SECRET = "canary-of-a-client-0123456789"
KEY = ("acme", "crm")


class Issuer:
    """Gives out a token that says how often it was asked."""

    def __init__(self) -> None:
        self.lasts_s = 3600.0
        self.status = 200
        self.asked: list[tuple[str, dict[str, list[str]]]] = []

    async def handle(self, request: Request, response: Response) -> None:
        pair = (request.header(b"authorization") or b"").removeprefix(b"Basic ")
        form = parse_qs((await request.read(10_000)).decode())
        self.asked.append((b64decode(pair).decode(), form))
        await asyncio.sleep(0.01)
        body = b'{"access_token":"token-%d","expires_in":%f}' % (len(self.asked), self.lasts_s)
        response.send(self.status, ((b"content-type", b"application/json"),), body)


def let_age(mint: Mint) -> None:
    """As if four fifths of a hundred seconds were over."""
    kept = mint._kept[KEY]  # noqa: SLF001 (nobody waits for so long)
    left_s = kept.renew_s - asyncio.get_running_loop().time()
    assert 20 < left_s <= 80
    kept.renew_s -= left_s


Scene = Callable[[Issuer, Mint, Minting], Awaitable[None]]


def play(scene: Scene, grant: Grant = Grant.CLIENT_CREDENTIALS) -> None:
    async def run() -> None:
        issuer = Issuer()
        server, pool = Server(issuer.handle), Pool()
        port = await server.listen("127.0.0.1", 0)
        url = f"http://127.0.0.1:{port}/token"
        minting = Minting(
            grant=grant, token_url=url, client="us", scopes=("a", "b"), audience="crm"
        )
        try:
            await scene(issuer, Mint(pool), minting)
        finally:
            await pool.close()
            await server.close()

    asyncio.run(run())


def test_all_who_need_a_token_at_once_wait_for_one_answer() -> None:
    async def scene(issuer: Issuer, mint: Mint, minting: Minting) -> None:
        got = await asyncio.gather(*(mint.fresh(KEY, minting, SECRET, "") for _ in range(50)))
        assert {token.value for token in got} == {"token-1"}
        assert (await mint.fresh(KEY, minting, SECRET, "")).value == "token-1"
        [(pair, form)] = issuer.asked
        assert pair == f"us:{SECRET}"
        assert (form["grant_type"], form["scope"]) == (["client_credentials"], ["a b"])
        assert form["audience"] == ["crm"]
        assert SECRET not in str(form)

    play(scene)


def test_one_who_gives_up_does_not_end_it_for_the_others() -> None:
    async def scene(issuer: Issuer, mint: Mint, minting: Minting) -> None:
        first = asyncio.create_task(mint.fresh(KEY, minting, SECRET, ""))
        second = asyncio.create_task(mint.fresh(KEY, minting, SECRET, ""))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).value == "token-1"
        assert len(issuer.asked) == 1

    play(scene)


def test_a_token_is_exchanged() -> None:
    async def scene(issuer: Issuer, mint: Mint, minting: Minting) -> None:
        await mint.fresh(KEY, minting, SECRET, "proof")
        [(pair, form)] = issuer.asked
        assert pair == "us:proof"
        assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:token-exchange"]
        assert form["subject_token"] == [SECRET]
        kind = ["urn:ietf:params:oauth:token-type:access_token"]
        assert form["subject_token_type"] == kind

    play(scene, Grant.TOKEN_EXCHANGE)


def test_a_client_without_proof_only_names_itself() -> None:
    minting = Minting(grant=Grant.TOKEN_EXCHANGE, token_url="https://idp.example", client="us")
    order = order_of("crm", minting, SECRET, "")
    assert (order.client, order.client_secret) == ("us", "")
    assert SECRET not in repr(order)


def test_another_is_got_before_the_first_ends() -> None:
    async def scene(issuer: Issuer, mint: Mint, minting: Minting) -> None:
        issuer.lasts_s = 130  # a hundred seconds beyond the margin
        await mint.fresh(KEY, minting, SECRET, "")
        assert not mint.is_ageing(KEY)
        let_age(mint)
        assert mint.is_ageing(KEY)
        issuer.lasts_s = 3600
        mint.renew(KEY, minting, SECRET, "")
        mint.renew(KEY, minting, SECRET, "")
        current = mint.current(KEY)
        assert current is not None
        assert current.value == "token-1"  # still good, and nobody waits
        await soon(lambda: (now := mint.current(KEY)) is not None and now.value == "token-2")
        assert len(issuer.asked) == 2

    play(scene)


def test_a_failure_ahead_of_time_is_felt_by_nobody() -> None:
    async def scene(issuer: Issuer, mint: Mint, minting: Minting) -> None:
        issuer.lasts_s = 130
        await mint.fresh(KEY, minting, SECRET, "")
        issuer.status = 500
        let_age(mint)
        assert mint.is_ageing(KEY)
        mint.renew(KEY, minting, SECRET, "")
        await soon(lambda: not mint.is_ageing(KEY))  # not again at once
        assert len(issuer.asked) == 2
        assert mint.current(KEY) is not None

    play(scene)


def test_a_failure_is_told_to_who_waits_and_the_next_one_asks_again() -> None:
    async def scene(issuer: Issuer, mint: Mint, minting: Minting) -> None:
        issuer.status = 401
        with pytest.raises(UnavailableError, match="no access token for secret `crm`") as failed:
            await mint.fresh(KEY, minting, SECRET, "")
        assert SECRET not in f"{failed.value}{failed.value.help}"
        issuer.status = 200
        assert (await mint.fresh(KEY, minting, SECRET, "")).value == "token-2"

    play(scene)


def test_what_was_got_with_an_old_secret_is_not_kept() -> None:
    async def scene(issuer: Issuer, mint: Mint, minting: Minting) -> None:
        asking = asyncio.create_task(mint.fresh(KEY, minting, SECRET, ""))
        await asyncio.sleep(0.005)
        mint.clear()
        assert (await asking).value == "token-1"
        assert mint.current(KEY) is None
        assert (await mint.fresh(KEY, minting, "new-" + SECRET, "")).value == "token-2"
        assert issuer.asked[-1][0] == f"us:new-{SECRET}"

    play(scene)


def test_a_token_that_is_refused_is_got_again_but_not_with_each_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scene(issuer: Issuer, mint: Mint, minting: Minting) -> None:
        first = await mint.fresh(KEY, minting, SECRET, "")
        mint.refused(KEY, first.value)
        assert (await mint.fresh(KEY, minting, SECRET, "")).value == "token-1"
        monkeypatch.setattr("ringfence.enforcement.minting._FRESH_S", 0.0)
        mint.refused(KEY, "another")
        assert mint.current(KEY) is not None
        mint.refused(KEY, first.value)
        assert (await mint.fresh(KEY, minting, SECRET, "")).value == "token-2"
        mint.refused(KEY, first.value)  # an answer that comes late
        assert len(issuer.asked) == 2
        current = mint.current(KEY)
        assert current is not None
        assert current.value == "token-2"

    play(scene)

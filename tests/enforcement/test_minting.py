import asyncio
from base64 import b64decode
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

import pytest
from tests.planes import soon

from ringfence.domain.error import UnavailableError
from ringfence.domain.secret import Grant, Minting
from ringfence.enforcement.minting import Mint, order_of
from ringfence.transport.answer import Answer
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


Scene = Callable[[Issuer, Mint, Minting], Awaitable[None]]


class Anew:
    """Sends each request on a connection of its own, which no leap of time ends."""

    def __init__(self) -> None:
        self.pools: list[Pool] = []

    async def request(self, *parts: Any, **more: Any) -> Answer:  # noqa: ANN401 (as `Pool` has it)
        self.pools.append(Pool())
        return await self.pools[-1].request(*parts, **more)


def play(scene: Scene, grant: Grant = Grant.CLIENT_CREDENTIALS) -> None:
    async def run() -> None:
        issuer, client = Issuer(), Anew()
        server = Server(issuer.handle)
        port = await server.listen("127.0.0.1", 0)
        url = f"http://127.0.0.1:{port}/token"
        minting = Minting(
            grant=grant, token_url=url, client="us", scopes=("a", "b"), audience="crm"
        )
        try:
            await scene(issuer, Mint(client), minting)
        finally:
            for pool in client.pools:
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


def later(seconds: float) -> None:
    """Let so much time pass at once."""
    loop = asyncio.get_running_loop()
    now = loop.time
    loop.time = lambda: now() + seconds  # type: ignore[method-assign] # a clock that is put forward


def test_another_is_got_before_the_first_ends() -> None:
    async def scene(issuer: Issuer, mint: Mint, minting: Minting) -> None:
        issuer.lasts_s = 130  # and thirty of them are margin
        await mint.fresh(KEY, minting, SECRET, "")
        later(79)
        assert not mint.is_ageing(KEY)
        later(2)
        assert mint.is_ageing(KEY)
        mint.renew(KEY, minting, SECRET, "")
        mint.renew(KEY, minting, SECRET, "")
        assert value(mint) == "token-1"  # still good, and nobody waits
        await soon(lambda: value(mint) == "token-2")
        assert len(issuer.asked) == 2

    play(scene)


def value(mint: Mint) -> str:
    current = mint.current(KEY)
    return "" if current is None else current.value


def test_a_failure_ahead_of_time_is_felt_by_nobody() -> None:
    async def scene(issuer: Issuer, mint: Mint, minting: Minting) -> None:
        issuer.lasts_s = 130
        await mint.fresh(KEY, minting, SECRET, "")
        issuer.status = 500
        later(81)
        assert mint.is_ageing(KEY)
        mint.renew(KEY, minting, SECRET, "")
        await soon(lambda: not mint.is_ageing(KEY))  # not again at once
        assert (value(mint), len(issuer.asked)) == ("token-1", 2)

    play(scene)


def test_a_failure_is_told_to_all_who_wait_and_for_a_while_to_whoever_asks() -> None:
    """However often an agent tries, who gives tokens out is not asked with each request."""

    async def scene(issuer: Issuer, mint: Mint, minting: Minting) -> None:
        issuer.status = 401
        for _ in range(20):
            with pytest.raises(
                UnavailableError, match="no access token for secret `crm`"
            ) as failed:
                await mint.fresh(KEY, minting, SECRET, "")
            assert SECRET not in f"{failed.value}{failed.value.help}"
        assert len(issuer.asked) == 1
        issuer.status = 200
        later(6)
        assert (await mint.fresh(KEY, minting, SECRET, "")).value == "token-2"

    play(scene)


def test_after_a_failure_another_secret_is_tried_at_once() -> None:
    async def scene(issuer: Issuer, mint: Mint, minting: Minting) -> None:
        issuer.status = 401
        with pytest.raises(UnavailableError):
            await mint.fresh(KEY, minting, SECRET, "")
        issuer.status = 200
        mint.clear()
        assert (await mint.fresh(KEY, minting, "new-" + SECRET, "")).value == "token-2"

    play(scene)


def test_a_token_of_few_seconds_is_used_for_half_of_them() -> None:
    async def scene(issuer: Issuer, mint: Mint, minting: Minting) -> None:
        issuer.lasts_s = 20
        for _ in range(3):
            assert (await mint.fresh(KEY, minting, SECRET, "")).value == "token-1"
        later(11)
        assert (await mint.fresh(KEY, minting, SECRET, "")).value == "token-2"
        issuer.lasts_s = 0
        later(21)
        with pytest.raises(UnavailableError, match="has ended already"):
            await mint.fresh(KEY, minting, SECRET, "")

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

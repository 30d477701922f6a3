import asyncio
from collections.abc import Sequence

import pytest
from tests.gateways.world import Upstream, agent, organisation

from ringfence.domain.error import PeerError, UnavailableError
from ringfence.domain.verdict import Throttle
from ringfence.enforcement.allowance import Allowance, AllowanceLimits, Hold
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.runtime import AgentRuntime
from ringfence.gateways.model.buffer import read_answer, read_request, send_whole
from ringfence.testing.http import MemoryRequest, MemoryResponse

CALLER = Caller(runtime=AgentRuntime(organisation(), agent()), credential="crd_1")


def allowance(size: int = 100) -> Allowance:
    return Allowance(AllowanceLimits(bytes_in_all=size, bytes_per_credential=size))


def hold_of(kept: Allowance) -> Hold:
    hold = kept.enter(CALLER)
    assert isinstance(hold, Hold)
    return hold


def asked(size: int, *, stated: bool) -> MemoryRequest:
    headers = [(b"content-length", b"%d" % size)] if stated else []
    return MemoryRequest("POST", "/x", headers=headers, body=b"x" * size)


@pytest.mark.parametrize("stated", [True, False])
def test_a_request_is_read_as_far_as_there_is_room(stated: bool) -> None:  # noqa: FBT001 (a case)
    async def story() -> None:
        kept = allowance()
        assert await read_request(asked(60, stated=stated), 80, hold_of(kept)) == b"x" * 60
        assert kept.held_bytes == 60
        refused = await read_request(asked(41, stated=stated), 80, hold_of(kept))
        assert isinstance(refused, Throttle)
        with pytest.raises(PeerError):
            await read_request(asked(31, stated=stated), 30, hold_of(kept))

    asyncio.run(story())


async def _read(pieces: Sequence[bytes], size: int, limit_bytes: int = 1000) -> bytes | Throttle:
    upstream = Upstream(pieces=pieces)
    try:
        return await read_answer(upstream, limit_bytes, hold_of(allowance(size)))
    finally:
        assert upstream.is_closed == (size < sum(map(len, pieces)) or limit_bytes < size)


def test_an_answer_is_read_as_far_as_there_is_room() -> None:
    assert asyncio.run(_read([b"ab", b"cd"], 4)) == b"abcd"
    assert isinstance(asyncio.run(_read([b"ab", b"cd", b"e"], 4)), Throttle)
    with pytest.raises(PeerError, match="larger than 3 bytes"):
        asyncio.run(_read([b"ab", b"cd", b"e"], 100, limit_bytes=3))


def test_an_answer_that_breaks_off_says_so() -> None:
    async def story() -> None:
        broken = Upstream(pieces=[b"ab"], ending=UnavailableError("provider_timeout", "late"))
        with pytest.raises(UnavailableError):
            await read_answer(broken, 1000, hold_of(allowance()))

    asyncio.run(story())


class _Slow(MemoryResponse):
    """A client that takes nothing until it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = asyncio.Event()

    async def drain(self) -> None:
        await self.taken.wait()


async def _yes() -> bool:
    return True


async def _no() -> bool:
    return False


def test_a_long_answer_is_waited_for_until_its_client_has_taken_it() -> None:
    async def story() -> None:
        response = _Slow()
        sending = asyncio.create_task(send_whole(response, 200, [], b"x" * 100_000, _yes))
        await asyncio.sleep(0)
        assert (len(response.body), sending.done()) == (65_536, False)
        response.taken.set()
        await sending
        assert response.is_ended
        assert response.body == b"x" * 100_000
        short = _Slow()
        await send_whole(short, 200, [], b"short", _no)
        assert short.is_ended

    asyncio.run(story())


def test_a_long_answer_is_cut_between_two_pieces() -> None:
    async def story() -> None:
        response = MemoryResponse()
        await send_whole(response, 200, [], b"x" * 200_000, _no)
        assert (len(response.body), response.is_aborted) == (65_536, True)

    asyncio.run(story())

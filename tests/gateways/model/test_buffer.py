import asyncio
import itertools
from collections.abc import Callable

import pytest
from tests.gateways.world import Upstream, agent, organisation, turns

from ringfence.domain.error import PeerError, RingfenceError, UnavailableError
from ringfence.domain.verdict import Throttle
from ringfence.enforcement.allowance import Allowance, AllowanceLimits, Portion
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.runtime import AgentRuntime
from ringfence.gateways.model.buffer import Collector, read_request, request_at_once, send_whole
from ringfence.testing.http import MemoryRequest, MemoryResponse

CALLER = Caller(runtime=AgentRuntime(organisation(), agent()), credential="crd_1")


def allowance(size: int = 100) -> Allowance:
    return Allowance(AllowanceLimits(bytes_in_all=size, bytes_per_credential=size))


def portion_of(kept: Allowance) -> Portion:
    portion = kept.enter(CALLER)
    assert isinstance(portion, Portion)
    return portion


def asked(size: int, *, stated: bool) -> MemoryRequest:
    headers = [(b"content-length", b"%d" % size)] if stated else []
    return MemoryRequest("POST", "/x", headers=headers, body=b"x" * size)


@pytest.mark.parametrize("stated", [True, False])
def test_a_request_is_read_as_far_as_there_is_room(stated: bool) -> None:  # noqa: FBT001 (a case)
    async def story() -> None:
        kept = allowance()
        assert await read_request(asked(60, stated=stated), 80, portion_of(kept)) == b"x" * 60
        assert kept.held_bytes == 60
        refused = await read_request(asked(41, stated=stated), 80, portion_of(kept))
        assert isinstance(refused, Throttle)
        with pytest.raises(PeerError):
            await read_request(asked(31, stated=stated), 30, portion_of(kept))

    asyncio.run(story())


def test_a_body_that_has_arrived_is_read_without_a_wait() -> None:
    kept = allowance()
    assert request_at_once(asked(60, stated=True), 80, portion_of(kept)) == b"x" * 60
    assert isinstance(request_at_once(asked(41, stated=True), 80, portion_of(kept)), Throttle)
    with pytest.raises(PeerError):
        request_at_once(asked(31, stated=True), 30, portion_of(kept))
    late = asked(1, stated=True)
    late.is_late = True
    assert request_at_once(late, 80, portion_of(kept)) is None


class Collected(Collector):
    """Keeps how it ended."""

    def __init__(self, upstream: Upstream, limit_bytes: int, portion: Portion) -> None:
        super().__init__(upstream, limit_bytes, portion)
        self.ended: list[object] = []

    def collected(self, body: bytes) -> None:
        self.ended.append(body)

    def no_room(self, full: Throttle) -> None:
        self.ended.append(full)

    def broken(self, error: Exception) -> None:
        self.ended.append(error)


def collected(
    *pieces: bytes, room: int = 100, limit_bytes: int = 100, ending: RingfenceError | str = "end"
) -> object:
    """How the collecting of an answer ended, the one time that it did."""

    async def story() -> object:
        upstream = Upstream(pieces=pieces, ending=ending)
        collector = Collected(upstream, limit_bytes, portion_of(allowance(room)))
        upstream.pipe(collector)
        await turns()
        [ended] = collector.ended
        assert upstream.is_closed is not (isinstance(ended, bytes) or ended is ending)
        return ended

    return asyncio.run(story())


def test_an_answer_is_collected_as_far_as_there_is_room() -> None:
    assert collected(b"ab", b"cd", room=4) == b"abcd"
    assert collected() == b""
    assert isinstance(collected(b"ab", b"cd", b"e", room=4), Throttle)
    too_large = collected(b"ab", b"cd", b"e", limit_bytes=3)
    assert isinstance(too_large, PeerError)
    assert "larger than 3 bytes" in too_large.message


def test_an_answer_that_breaks_off_says_so() -> None:
    late = UnavailableError("provider_timeout", "late")
    assert collected(b"ab", ending=late) is late


class Slow(MemoryResponse):
    """A client that takes nothing until it is told to."""

    def on_pause(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        pause()
        self.taken = resume


LONG = b"x" * 150_000


def deliver(response: MemoryResponse, body: bytes, *, pieces: int = 1_000) -> list[str]:
    """Send so many pieces; what comes back tells that it was over."""
    asked, sent = itertools.count(1), list[str]()

    def go_on(write: Callable[[], None]) -> None:
        if next(asked) < pieces:
            write()
        else:
            response.abort()

    send_whole(response, 200, [], body, go_on=go_on, sent=lambda: sent.append("sent"))
    return sent


@pytest.mark.parametrize("leaves", [True, False])
def test_a_long_answer_is_counted_until_its_client_has_taken_it_or_left(*, leaves: bool) -> None:
    async def story() -> None:
        response = Slow()
        sent = deliver(response, LONG)
        await turns()
        assert (len(response.body), response.is_ended, sent) == (65_536, False, [])
        if leaves:
            response.leave()
        response.taken()
        await turns()
        assert (response.is_ended, sent) == (not leaves, ["sent"])
        assert (response.body == LONG) is not leaves

    asyncio.run(story())


def test_a_long_answer_is_cut_between_two_pieces() -> None:
    async def story() -> None:
        response = MemoryResponse()
        deliver(response, LONG, pieces=2)
        await turns()
        assert (len(response.body), response.is_aborted) == (131_072, True)

    asyncio.run(story())


def test_a_short_answer_is_sent_at_once() -> None:
    response = Slow()
    sent = deliver(response, b"short", pieces=0)
    assert (response.is_ended, sent) == (True, ["sent"])


def test_nothing_is_sent_to_a_client_that_has_left() -> None:
    response = MemoryResponse()
    response.leave()
    assert deliver(response, LONG) == ["sent"]
    assert not response.is_started

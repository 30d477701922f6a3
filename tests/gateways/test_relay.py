"""What an upstream says without authority is held, and goes on in order or not at all."""

import asyncio

from ringfence.domain.verdict import Reason
from ringfence.enforcement.authority import LAPSED, Authority
from ringfence.gateways.relay import Relay
from ringfence.testing.clock import ManualClock
from ringfence.transport.http import Headers, Sink


class Upstream:
    """Says what is asked of it."""

    status = 200
    headers: Headers = ()
    address = ""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def at_once(self) -> bytes | None:
        return None

    def pipe(self, sink: Sink) -> None:
        del sink

    def pause(self) -> None:
        self.asked.append("pause")

    def resume(self) -> None:
        self.asked.append("resume")

    def close(self) -> None:
        self.asked.append("close")


class Keeping(Relay):
    """Keeps what may pass."""

    def __init__(self, upstream: Upstream, authority: Authority) -> None:
        super().__init__(upstream, authority)
        self.passed: list[bytes] = []
        self.ends: list[str] = []

    def data(self, chunk: bytes) -> None:
        if not self._is_withheld(chunk):
            self.passed.append(chunk)

    def end(self) -> None:
        if self._is_withheld():
            self._has_ended = True
        else:
            self.ends.append("end")
            self._is_done = True

    def cut(self, reason: Reason) -> None:
        self.ends.append(reason.code.value)
        self._is_done = True


def test_what_comes_without_authority_goes_on_when_it_is_renewed() -> None:
    async def story() -> None:
        clock, upstream = ManualClock(), Upstream()
        authority = Authority(clock, is_shared=True)
        relay = Keeping(upstream, authority)
        relay.data(b"one ")
        relay.data(b"two")
        relay.end()
        assert (relay.passed, relay.ends, upstream.asked) == ([], [], ["pause"])
        authority.renew(clock.monotonic_us() + 1_000_000, 0)
        assert (relay.passed, relay.ends) == ([b"one two"], ["end"])
        assert upstream.asked == ["pause", "resume"]

    asyncio.run(story())


def test_it_is_cut_when_no_renewal_comes() -> None:
    async def story() -> None:
        authority = Authority(ManualClock(), is_shared=True)
        relay = Keeping(Upstream(), authority)
        relay.data(b"never seen")
        authority.revoke()
        assert (relay.passed, relay.ends) == ([], [LAPSED.code.value])

    asyncio.run(story())


def test_one_that_is_done_is_left_alone() -> None:
    async def story() -> None:
        clock = ManualClock()
        authority = Authority(clock, is_shared=True)
        relay = Keeping(Upstream(), authority)
        relay.data(b"held")
        relay.cut(LAPSED)
        authority.renew(clock.monotonic_us() + 1_000_000, 0)
        assert relay.passed == []

    asyncio.run(story())


def test_with_authority_everything_passes_at_once() -> None:
    async def story() -> None:
        upstream = Upstream()
        relay = Keeping(upstream, Authority(ManualClock()))
        relay.data(b"one")
        relay.end()
        assert (relay.passed, relay.ends, upstream.asked) == ([b"one"], ["end"], [])

    asyncio.run(story())

"""Every lane that one process holds, and the calls that wait in them.

Places are taken in one order everywhere, of the model and then of its provider, so that no two
calls wait for each other.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import final

from ringfence.decisions.pacing import Lane, Place
from ringfence.domain.model import Pace, UpstreamKey
from ringfence.domain.pacing import Busy
from ringfence.transport.clock import Clock

_SECOND_US = 1_000_000
_LEAST_WAIT_S = 1.0
_PLAIN = Pace(agent_share=1.0)
"""For an upstream without a pace that has asked to be left alone for a while."""
_IS_BUSY = "is as busy as it may be made"
_MANY_WAIT = "has too many of its calls waiting"

Held = tuple[tuple[UpstreamKey, Place], ...]
"""The places of one call."""


@final
class Lanes:
    """Lanes by upstream; those of upstreams without a pace come and go with their pauses."""

    def __init__(self, clock: Clock) -> None:
        """No lane yet."""
        self.known: dict[UpstreamKey, Lane] = {}
        self._clock = clock
        self._waiting: dict[Place, asyncio.Future[None]] = {}
        self._timers: dict[UpstreamKey, asyncio.TimerHandle] = {}

    def install(self, paces: Mapping[UpstreamKey, Pace]) -> None:
        """Take the paces of a new configuration; calls on their way keep their places."""
        for key, lane in self.known.items():
            lane.pace = paces.get(key, _PLAIN)
        for key in paces.keys() - self.known.keys():
            self.known[key] = Lane(paces[key])
        for key in list(self.known):
            self._admit(key)

    def enter(self, agent: str, upstreams: Sequence[UpstreamKey]) -> Held | Busy:
        """Take a place at each at once, or none."""
        now_us = self._clock.monotonic_us()
        held: list[tuple[UpstreamKey, Place]] = []
        for key in upstreams:
            lane = self.known.get(key)
            if lane is None:
                continue
            place = lane.enter(agent, now_us)
            if place is None:
                self.leave(held, was_sent=False)
                return _busy(key, lane, now_us, agent)
            held.append((key, place))
        return tuple(held)

    async def wait(self, agent: str, upstreams: Sequence[UpstreamKey]) -> Held | Busy:
        """Wait for a place at each, for as long as the paces of all allow together."""
        keys = [key for key in upstreams if key in self.known]
        until_us = self._clock.monotonic_us() + round(self._patience_s(keys) * _SECOND_US)
        held: list[tuple[UpstreamKey, Place]] = []
        try:
            for key in keys:
                found = await self._wait_in(key, agent, until_us)
                if isinstance(found, Busy):
                    self.leave(held, was_sent=False)
                    return found
                if found is not None:
                    held.append((key, found))
        except BaseException:
            self.leave(held, was_sent=False)
            raise
        return tuple(held)

    def leave(self, held: Sequence[tuple[UpstreamKey, Place]], *, was_sent: bool = True) -> None:
        """Give places back, and let go who waited for them; harmless if said twice."""
        for key, place in held:
            lane = self.known.get(key)
            if lane is not None:
                lane.leave(place, was_sent=was_sent)
                self._admit(key)

    def pause(self, key: UpstreamKey, until_us: int) -> None:
        """An upstream asks to be left alone until then, on the monotonic clock."""
        lane = self.known.get(key)
        if lane is None:
            lane = self.known[key] = Lane(_PLAIN)
        now_us = self._clock.monotonic_us()
        lane.pause((until_us - now_us) / _SECOND_US, now_us)
        self._admit(key)

    def _patience_s(self, keys: Sequence[UpstreamKey]) -> float:
        """How long a call waits in all: what a pace says, else the default for a pause."""
        paces = [self.known[key].pace for key in keys]
        return max(
            (pace.queue_seconds for pace in paces if pace is not _PLAIN),
            default=_PLAIN.queue_seconds,
        )

    async def _wait_in(self, key: UpstreamKey, agent: str, until_us: int) -> Place | Busy | None:
        lane = self.known.get(key)
        if lane is None:  # its pause is over
            return None
        now_us = self._clock.monotonic_us()
        place = lane.enter(agent, now_us)
        if place is not None:
            return place
        if now_us + (lane.wait_us(now_us, agent) or 0) > until_us:  # it would wait in vain
            return _busy(key, lane, now_us, agent)
        place = lane.wait(agent)
        if place is None:
            return _busy(key, lane, now_us, agent, _MANY_WAIT)
        going = asyncio.get_running_loop().create_future()
        self._waiting[place] = going
        self._wake(key)
        try:
            async with asyncio.timeout((until_us - now_us) / _SECOND_US):
                await going
        except TimeoutError:
            if not place.is_going:
                lane.leave(place)
                return _busy(key, lane, self._clock.monotonic_us(), agent)
        except BaseException:
            self.leave([(key, place)], was_sent=False)
            raise
        finally:
            self._waiting.pop(place, None)
        return place

    def _admit(self, key: UpstreamKey) -> None:
        """Let go whoever may; forget a lane that is nobody's."""
        lane = self.known.get(key)
        if lane is None:
            return
        now_us = self._clock.monotonic_us()
        for place in lane.admit(now_us):
            going = self._waiting.get(place)
            if going is not None and not going.done():
                going.set_result(None)
            elif going is None:
                lane.leave(place, was_sent=False)
        if lane.pace is _PLAIN and lane.is_idle(now_us):
            del self.known[key]
            self._cancel(key)
        else:
            self._wake(key)

    def _wake(self, key: UpstreamKey) -> None:
        """Look again when time alone lets the next one go, or ends a pause."""
        self._cancel(key)
        lane = self.known[key]
        wait_us = lane.next_us(self._clock.monotonic_us())
        if wait_us and (lane.waiting or lane.pace is _PLAIN):
            loop = asyncio.get_running_loop()
            self._timers[key] = loop.call_later(wait_us / _SECOND_US, self._admit, key)

    def _cancel(self, key: UpstreamKey) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()


def _busy(key: UpstreamKey, lane: Lane, now_us: int, agent: str, words: str = _IS_BUSY) -> Busy:
    wait_s = max(_LEAST_WAIT_S, (lane.wait_us(now_us, agent) or 0) / _SECOND_US)
    return Busy(upstream=key, words=words, wait_s=wait_s)

"""Waiting for a place at a paced upstream: one worker's lanes and the calls that wait in them.

A place is taken before anything is reserved, so that a call which waits holds no money; when it has
one, the whole decision is made anew. Places are taken in one order everywhere, of the model and
then of its provider, so that no two calls wait for each other.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import final

from ringfence.decisions import reason
from ringfence.decisions.pacing import Lane, Place, share
from ringfence.domain.agent import Agent
from ringfence.domain.error import UnsentError
from ringfence.domain.model import Pace, UpstreamKey, UpstreamKind
from ringfence.domain.organisation import Configuration
from ringfence.domain.verdict import Code, Throttle
from ringfence.enforcement.route import Leg
from ringfence.transport.clock import Clock

_SECOND_US = 1_000_000
_LEAST_WAIT_S = 1.0
_PLAIN = Pace()
"""For an upstream without a pace that has asked to be left alone for a while."""


@final
class Places:
    """The places that one call holds, at most one of a model and one of a provider."""

    __slots__ = ("_held", "_pacing", "leg")

    def __init__(self, pacing: "Pacing", leg: Leg) -> None:
        """None yet; `leg` is where the call goes."""
        self._pacing = pacing
        self._held: list[tuple[UpstreamKey, Place]] = []
        self.leg = leg

    def take(self, key: UpstreamKey, place: Place) -> None:
        """One more."""
        self._held.append((key, place))

    def leave(self, *, was_sent: bool = True) -> None:
        """Give all of them back; later calls do nothing."""
        held, self._held = self._held, []
        for key, place in held:
            self._pacing.leave(key, place, was_sent=was_sent)


class Pacing:
    """Every lane of one worker; those of upstreams without a pace come and go."""

    def __init__(self, clock: Clock) -> None:
        """No lane yet."""
        self.lanes: dict[UpstreamKey, Lane] = {}
        """Look at it before asking anything: it is empty where nothing is paced or paused."""
        self._clock = clock
        self._waiting: dict[Place, asyncio.Future[None]] = {}
        self._timers: dict[UpstreamKey, asyncio.TimerHandle] = {}

    def install(self, paces: Mapping[UpstreamKey, Pace]) -> None:
        """Take the paces of a new configuration; calls on their way keep their places."""
        for key, lane in self.lanes.items():
            lane.pace = paces.get(key, _PLAIN)
        for key in paces.keys() - self.lanes.keys():
            self.lanes[key] = Lane(paces[key])
        for key in list(self.lanes):
            self._admit(key)

    def enter(self, agent: Agent, leg: Leg) -> Places | None:
        """Places for a call to this leg; None if it must wait for one."""
        now_us = self._clock.monotonic_us()
        places = Places(self, leg)
        for key in _keys(leg):
            lane = self.lanes.get(key)
            if lane is None:
                continue
            place = lane.enter(agent.id, now_us)
            if place is None:
                places.leave(was_sent=False)
                return None
            places.take(key, place)
        return places

    async def wait(self, agent: Agent, leg: Leg) -> Places | Throttle:
        """Wait for places, each in its turn, for as long as the paces of both allow in all."""
        places = Places(self, leg)
        keys = [key for key in _keys(leg) if key in self.lanes]
        until_us = self._clock.monotonic_us() + round(self._patience_s(keys) * _SECOND_US)
        try:
            for key in keys:
                refused = await self._wait_in(key, agent, places, until_us)
                if refused is not None:
                    places.leave(was_sent=False)
                    return refused
        except BaseException:
            places.leave(was_sent=False)
            raise
        return places

    def move(self, agent: Agent, places: Places | None, leg: Leg) -> Places:
        """A call turns to another leg: give its places back and take those of that leg.

        Raises UnsentError `rate_exceeded` if there is none at once: who falls back does not wait.
        """
        if places is not None:
            places.leave()
        found = self.enter(agent, leg)
        if found is None:
            raise UnsentError(Code.RATE_EXCEEDED, "it is as busy as it may be made")
        return found

    def leave(self, key: UpstreamKey, place: Place, *, was_sent: bool) -> None:
        """Give a place back, and let go who waited for it."""
        lane = self.lanes.get(key)
        if lane is not None:
            lane.leave(place, was_sent=was_sent)
            self._admit(key)

    def asked_to_wait(self, key: UpstreamKey, seconds: float) -> None:
        """An upstream has said how long to leave it alone."""
        lane = self.lanes.get(key)
        if lane is None:
            lane = self.lanes[key] = Lane(_PLAIN)
        lane.pause(seconds, self._clock.monotonic_us())
        self._admit(key)

    def _patience_s(self, keys: Sequence[UpstreamKey]) -> float:
        """How long a call waits in all: what a pace says, else the default for a pause."""
        paces = [self.lanes[key].pace for key in keys]
        return max(
            (pace.queue_seconds for pace in paces if pace is not _PLAIN),
            default=_PLAIN.queue_seconds,
        )

    async def _wait_in(
        self, key: UpstreamKey, agent: Agent, places: Places, until_us: int
    ) -> Throttle | None:
        lane = self.lanes.get(key)
        if lane is None:  # its pause is over
            return None
        now_us = self._clock.monotonic_us()
        place = lane.enter(agent.id, now_us)
        if place is None:
            if now_us + (lane.wait_us(now_us) or 0) > until_us:  # it would wait in vain
                return _throttle(agent, key, lane, now_us, "is as busy as it may be made")
            place = lane.wait(agent.id)
            if place is None:
                return _throttle(agent, key, lane, now_us, "has too many of its calls waiting")
            going = asyncio.get_running_loop().create_future()
            self._waiting[place] = going
            self._wake(key)
            try:
                async with asyncio.timeout((until_us - now_us) / _SECOND_US):
                    await going
            except TimeoutError:
                if not place.is_going:
                    lane.leave(place)
                    now_us = self._clock.monotonic_us()
                    return _throttle(agent, key, lane, now_us, "is as busy as it may be made")
            except BaseException:
                self.leave(key, place, was_sent=False)
                raise
            finally:
                self._waiting.pop(place, None)
        places.take(key, place)
        return None

    def _admit(self, key: UpstreamKey) -> None:
        """Let go whoever may; forget a lane that is nobody's."""
        lane = self.lanes.get(key)
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
            del self.lanes[key]
            self._cancel(key)
        else:
            self._wake(key)

    def _wake(self, key: UpstreamKey) -> None:
        """Look again when time alone lets the next one go, or ends a pause."""
        self._cancel(key)
        lane = self.lanes[key]
        now_us = self._clock.monotonic_us()
        wait_us = lane.wait_us(now_us)
        if wait_us and (lane.waiting or lane.pace is _PLAIN):
            loop = asyncio.get_running_loop()
            self._timers[key] = loop.call_later(wait_us / _SECOND_US, self._admit, key)

    def _cancel(self, key: UpstreamKey) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()


def paces_of(
    configuration: Configuration, number: int = 1, workers: int = 1
) -> dict[UpstreamKey, Pace]:
    """The paces that a configuration sets, as far as they are worker `number`'s of so many."""
    paces: dict[UpstreamKey, Pace] = {}
    for organisation in configuration.organisations.values():
        for kind, named in (
            (UpstreamKind.PROVIDER, organisation.providers),
            (UpstreamKind.MODEL, organisation.models),
        ):
            for name, upstream in named.items():
                if upstream.pace is not None:
                    paces[UpstreamKey(organisation.id, kind, name)] = share(
                        upstream.pace, number, workers
                    )
    return paces


def _keys(leg: Leg) -> tuple[UpstreamKey, UpstreamKey]:
    """The lanes of a leg, in the order in which places are taken."""
    return leg.model_key, leg.provider_key


def _throttle(agent: Agent, key: UpstreamKey, lane: Lane, now_us: int, words: str) -> Throttle:
    wait_s = max(_LEAST_WAIT_S, (lane.wait_us(now_us) or 0) / _SECOND_US)
    upstream = f"{key.kind} {reason.quoted(key.name)}"
    why = reason.paced(agent, upstream, words, wait_s)
    return Throttle(reason=why, retry_after_s=wait_s)

"""Waiting for a place at a paced upstream, as one worker does it.

A place is taken before anything is reserved, so that a call which waits holds no money; when it has
one, the whole decision is made anew. Where there are several workers, the lanes of what is paced
are held for all of them by one process (`enforcement.queueing`), which is asked for each call.
"""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol, TypeAlias, final

from ringfence.decisions import reason
from ringfence.domain.agent import Agent
from ringfence.domain.error import RingfenceError, UnavailableError, UnsentError
from ringfence.domain.model import Pace, UpstreamKey, UpstreamKind, UpstreamStanding
from ringfence.domain.organisation import Configuration, Organisation
from ringfence.domain.pacing import Busy, Enter, Left, Paused
from ringfence.domain.verdict import Code, Throttle
from ringfence.enforcement.lane import Held, Lanes
from ringfence.enforcement.route import Leg
from ringfence.transport.clock import Clock

_SECOND_US = 1_000_000
_SEVERAL = 2
_ANSWER_S = 2.0
"""How long an answer may take beyond the wait itself."""


class ServerLeg(NamedTuple):
    """A tool server, where calls of its tools go."""

    key: UpstreamKey


PacedLeg: TypeAlias = Leg | ServerLeg
"""Where a call goes that may have to wait for a place."""


class PaceWire(Protocol):
    """The way to whoever holds the lanes for all workers."""

    async def enter(self, enter: Enter, /) -> Busy | None:
        """Wait for the places. Raises UnavailableError."""

    def left(self, left: Left, /) -> None:
        """Give them back, or wait no longer."""


@final
class Places:
    """The places that one call holds: of a model and its provider, or of a tool server."""

    __slots__ = ("_held", "_number", "_pacing", "leg")

    def __init__(self, pacing: "Pacing", leg: PacedLeg, held: Held, number: int = 0) -> None:
        """`leg` is where the call goes; `number` names it to who holds the shared lanes."""
        self._pacing = pacing
        self._held = held
        self._number = number
        self.leg = leg

    def leave(self, *, was_sent: bool = True) -> None:
        """Give all of them back; later calls do nothing."""
        held, self._held = self._held, ()
        number, self._number = self._number, 0
        self._pacing.leave(held, number, was_sent=was_sent)


@final
class Pacing:
    """What one worker does to keep a pace: its own lanes, or the way to those of all."""

    def __init__(self, clock: Clock, wire: PaceWire | None = None) -> None:
        """Nothing is paced yet. Without a wire all lanes are held here."""
        self.lanes = Lanes(clock)
        """All, or only those of upstreams that have asked to be left alone for a while."""
        self._shared: Mapping[UpstreamKey, Pace] = {}
        self._clock = clock
        self._wire = wire
        self._numbers = itertools.count(1)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is paced or paused, so that `enter` need not be asked."""
        return not (self.lanes.known or self._shared)

    def install(self, paces: Mapping[UpstreamKey, Pace]) -> None:
        """Take the paces of a new configuration; calls on their way keep their places."""
        if self._wire is None:
            self.lanes.install(paces)
        else:
            self._shared = paces

    def enter(self, agent: Agent, leg: PacedLeg) -> Places | None:
        """Places for a call to this leg; None if it must wait for one, or ask."""
        if self._elsewhere(leg):
            return None
        held = self.lanes.enter(agent.id, _keys(leg))
        return None if isinstance(held, Busy) else Places(self, leg, held)

    async def wait(self, agent: Agent, leg: PacedLeg) -> Places | Throttle:
        """Wait for places, each in its turn, for as long as the paces of both allow in all."""
        elsewhere = self._elsewhere(leg)
        here = [key for key in _keys(leg) if key not in elsewhere]
        held = await self.lanes.wait(agent.id, here)
        if isinstance(held, Busy):
            return _throttle(agent, held)
        if not elsewhere:
            return Places(self, leg, held)
        found = await self._ask(agent, leg, held, elsewhere, may_wait=True)
        return found if isinstance(found, Places) else _throttle(agent, found)

    def move(self, agent: Agent, leg: Leg) -> "Places | asyncio.Task[Places]":
        """A call turns to another leg: the places of that.

        Who falls back does not wait: UnsentError `rate_exceeded`, raised or in the task, if there
        is none at once.
        """
        elsewhere = self._elsewhere(leg)
        held = self.lanes.enter(agent.id, [key for key in _keys(leg) if key not in elsewhere])
        if isinstance(held, Busy):
            raise _no_place()
        if not elsewhere:
            return Places(self, leg, held)
        return asyncio.ensure_future(self._move(agent, leg, held, elsewhere))

    def leave(self, held: Held, number: int, *, was_sent: bool) -> None:
        """Give places back; `number` is 0 for who has asked nobody."""
        self.lanes.leave(held, was_sent=was_sent)
        if number and self._wire is not None:
            self._wire.left(Left(number=number, was_sent=was_sent))

    def asked_to_wait(self, key: UpstreamKey, seconds: float) -> Paused:
        """An upstream has said how long to leave it alone."""
        until_us = self._clock.monotonic_us() + round(seconds * _SECOND_US)
        paused = Paused(upstream=key, until_us=until_us)
        self.paused(paused)
        return paused

    def paused(self, paused: Paused) -> None:
        """An upstream is to be left alone; who holds a shared lane is told by itself."""
        if paused.upstream not in self._shared:
            self.lanes.pause(paused.upstream, paused.until_us)

    def standing(self, organisation: str) -> list[UpstreamStanding]:
        """How its upstreams stand whose lanes are held here."""
        return standings(self.lanes, organisation)

    def _elsewhere(self, leg: PacedLeg) -> tuple[UpstreamKey, ...]:
        """Of the lanes of a leg those that are shared."""
        if not self._shared:
            return ()
        return tuple([key for key in _keys(leg) if key in self._shared])

    async def _move(
        self, agent: Agent, leg: PacedLeg, held: Held, elsewhere: Sequence[UpstreamKey]
    ) -> Places:
        try:
            found = await self._ask(agent, leg, held, elsewhere, may_wait=False)
        except RingfenceError as error:
            raise UnsentError(Code.STORE_UNAVAILABLE, error.message) from error
        if isinstance(found, Busy):
            raise _no_place()
        return found

    async def _ask(
        self,
        agent: Agent,
        leg: PacedLeg,
        held: Held,
        elsewhere: Sequence[UpstreamKey],
        *,
        may_wait: bool,
    ) -> Places | Busy:
        """Ask for places in shared lanes. Raises UnavailableError."""
        assert self._wire is not None  # noqa: S101 (what is shared is shared over it)
        number = next(self._numbers)
        asked = Enter(number=number, agent=agent.id, upstreams=tuple(elsewhere), may_wait=may_wait)
        patience_s = max(self._shared[key].queue_seconds for key in elsewhere) if may_wait else 0
        try:
            async with asyncio.timeout(patience_s + _ANSWER_S):
                refused = await self._wire.enter(asked)
        except TimeoutError as error:
            self.leave(held, number, was_sent=False)
            why = "whoever keeps the pace does not answer"
            raise UnavailableError("supervisor_unavailable", why) from error
        except BaseException:
            self.leave(held, number, was_sent=False)
            raise
        if refused is None:
            return Places(self, leg, held, number)
        self.leave(held, 0, was_sent=False)
        return refused


def paces_of(configuration: Configuration) -> dict[UpstreamKey, Pace]:
    """The paces that a configuration sets; whole for what only one agent may use."""
    paces: dict[UpstreamKey, Pace] = {}
    for organisation in configuration.organisations.values():
        for kind, named in (
            (UpstreamKind.PROVIDER, organisation.providers),
            (UpstreamKind.MODEL, organisation.models),
            (UpstreamKind.TOOL, organisation.tools),
        ):
            for name, upstream in named.items():
                if upstream.pace is not None:
                    key = UpstreamKey(organisation.id, kind, name)
                    paces[key] = _shared_out(organisation, key, upstream.pace)
    return paces


def _shared_out(organisation: Organisation, key: UpstreamKey, pace: Pace) -> Pace:
    """A pace that no second agent may want a part of is nobody's to leave."""
    if key.kind is UpstreamKind.TOOL:
        patterns = [each.scope.tools for each in organisation.agents.values()]
        count = sum(any(one.startswith(f"{key.name}__") for one in own) for own in patterns)
        return replace(pace, agent_share=1.0) if count < _SEVERAL else pace
    models = {
        model.name
        for model in organisation.models.values()
        if key.name == (model.name if key.kind is UpstreamKind.MODEL else model.provider)
    }
    users = [each for each in organisation.agents.values() if models & each.scope.models]
    return replace(pace, agent_share=1.0) if len(users) < _SEVERAL else pace


def standings(lanes: Lanes, organisation: str) -> list[UpstreamStanding]:
    """How the upstreams of an organisation stand that have a lane."""
    return [
        UpstreamStanding(kind=key.kind, name=key.name, going=lane.going, waiting=lane.waiting)
        for key, lane in lanes.known.items()
        if key.organisation == organisation
    ]


def _keys(leg: PacedLeg) -> tuple[UpstreamKey, ...]:
    """The lanes of a leg, in the order in which places are taken."""
    return (leg.key,) if isinstance(leg, ServerLeg) else (leg.model_key, leg.provider_key)


def _no_place() -> UnsentError:
    return UnsentError(Code.RATE_EXCEEDED, "it is as busy as it may be made")


def _throttle(agent: Agent, busy: Busy) -> Throttle:
    upstream = f"{busy.upstream.kind} {reason.quoted(busy.upstream.name)}"
    why = reason.paced(agent, upstream, busy.words, busy.wait_s)
    return Throttle(reason=why, retry_after_s=busy.wait_s)

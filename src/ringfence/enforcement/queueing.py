"""Paced upstreams for several workers: whoever holds all lanes gives places to calls of each."""

import asyncio
from collections.abc import Callable
from typing import Final, final

from ringfence.domain.lease import Holder
from ringfence.domain.model import UpstreamKey, UpstreamStanding
from ringfence.domain.organisation import Configuration
from ringfence.domain.pacing import Busy, Enter, Entered, Left, Paused
from ringfence.enforcement.lane import Held, Lanes
from ringfence.enforcement.pacing import paces_of, standings
from ringfence.transport.clock import Clock

_Call = tuple[Holder, int]
_NOTHING: Final[Held] = ()


@final
class Queueing:
    """The lanes of one installation; used by one event loop.

    INVARIANT: a call has its places until its worker says `Left`, or has ended.
    """

    def __init__(self, clock: Clock, tell: Callable[[Holder, Entered], None]) -> None:
        """Nothing is paced. `tell` says what a worker waits for."""
        self._tell = tell
        self._lanes = Lanes(clock)
        self._paced: frozenset[UpstreamKey] = frozenset()
        self._held: dict[_Call, Held] = {}
        self._waiting: dict[_Call, asyncio.Task[None]] = {}

    def install(self, configuration: Configuration) -> None:
        """Take the paces of a new configuration."""
        paces = paces_of(configuration)
        self._paced = frozenset(paces)
        self._lanes.install(paces)

    def enter(self, holder: Holder, asked: Enter) -> None:
        """Tell the worker when the call has its places, or that it cannot have them in time."""
        call = (holder, asked.number)
        found = self._lanes.enter(asked.agent, asked.upstreams)
        if isinstance(found, Busy) and asked.may_wait:
            waiting = self._waiting[call] = asyncio.create_task(self._wait(call, asked))
            waiting.add_done_callback(lambda _: self._waiting.pop(call))
        else:
            self._found(call, found)

    def left(self, holder: Holder, left: Left) -> None:
        """A call is over, or does not want to wait any longer."""
        self._leave((holder, left.number), was_sent=left.was_sent)

    def paused(self, paused: Paused) -> None:
        """An upstream has asked one worker to be left alone; what is not paced is their matter."""
        if paused.upstream in self._paced:
            self._lanes.pause(paused.upstream, paused.until_us)

    def died(self, holder: Holder) -> None:
        """A worker has ended, and its connections with it."""
        for call in [*self._held, *self._waiting]:
            if call[0] == holder:
                self._leave(call, was_sent=True)

    def standing(self, organisation: str) -> list[UpstreamStanding]:
        """Its upstreams that are paced, with the calls of all workers."""
        return standings(self._lanes, organisation)

    async def _wait(self, call: _Call, asked: Enter) -> None:
        self._found(call, await self._lanes.wait(asked.agent, asked.upstreams))

    def _found(self, call: _Call, found: Held | Busy) -> None:
        """In the turn in which it is known, so that a `Left` finds the places."""
        holder, number = call
        if isinstance(found, Busy):
            self._tell(holder, Entered(number=number, busy=found))
        else:
            self._held[call] = found
            self._tell(holder, Entered(number=number))

    def _leave(self, call: _Call, *, was_sent: bool) -> None:
        waiting = self._waiting.get(call)
        if waiting is not None:
            waiting.cancel()
        self._lanes.leave(self._held.pop(call, _NOTHING), was_sent=was_sent)

"""Reads of the whole record: few at a time, and no organisation keeps another waiting."""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar, final

from ringfence.decisions.pacing import Lane, Place
from ringfence.domain.model import Pace

Result = TypeVar("Result")

_AT_ONCE: Final = 3
"""The default executor has at least five threads: a revocation always finds one."""
_QUEUED: Final = 10_000
_PACE = Pace(concurrent=_AT_ONCE, queued=_QUEUED, agent_share=0.67)
"""One organisation reads twice at a time at most, so that one turn is left for others."""


@final
class Scans:
    """Whose turn it is to read. Used by one event loop.

    INVARIANT (I7): how long an organisation waits depends on its own reads and on how many
    other organisations read, never on how many reads another one has waiting.
    """

    def __init__(self) -> None:
        """Nobody reads."""
        self._lane = Lane(_PACE)
        self._waiting: dict[Place, asyncio.Future[None]] = {}

    async def read(self, organisation: str, read: Callable[[], Result]) -> Result:
        """Read in a thread, when it is this organisation's turn."""
        place = await self._enter(organisation)
        try:
            return await asyncio.to_thread(read)
        finally:
            self._leave(place)

    async def _enter(self, organisation: str) -> Place:
        place = self._lane.enter(organisation, 0)
        if place is not None:
            return place
        waiting = self._lane.wait(organisation)
        if waiting is None:
            raise RuntimeError("too many reads of the record wait")
        self._waiting[waiting] = turn = asyncio.get_running_loop().create_future()
        try:
            await turn
        except BaseException:
            self._leave(waiting)
            raise
        finally:
            del self._waiting[waiting]
        return waiting

    def _leave(self, place: Place) -> None:
        self._lane.leave(place)
        for each in self._lane.admit(0):
            turn = self._waiting.get(each)
            if turn is not None and not turn.done():
                turn.set_result(None)

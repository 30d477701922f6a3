"""Pacing: how many calls go to one upstream at a time and in a minute, and whose turn it is.

A lane is one provider or one model. Whoever finds it busy waits in it, each agent in a line of its
own: the next to go is the first of the agent that has the fewest calls on their way, and of equals
the one that has waited for its turn the longest. So no agent can starve another, however many calls
it brings.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import replace
from typing import final

from ringfence.decisions.rate import WINDOW_US
from ringfence.domain.model import Pace

LONGEST_PAUSE_S = 600.0
"""How long an upstream is believed that asks to be left alone."""

_SECOND_US = 1_000_000
_NEVER_US = -1


def share(pace: Pace, number: int, workers: int) -> Pace:
    """What worker `number` (from 1) of so many has of a pace; the shares add up to the whole.

    Each has one at least, so that no call waits for ever at a worker that has none.
    """
    return replace(
        pace,
        requests_per_minute=_part(pace.requests_per_minute, number, workers),
        concurrent=_part(pace.concurrent, number, workers),
    )


def _part(whole: int | None, number: int, workers: int) -> int | None:
    if whole is None:
        return None
    return max(1, whole // workers + (number <= whole % workers))


@final
class Place:
    """One call in a lane: waiting, on its way, or neither any more."""

    __slots__ = ("holder", "is_going")

    def __init__(self, holder: str) -> None:
        """`holder` is the agent."""
        self.holder = holder
        self.is_going = False


@final
class Lane:
    """One upstream's slots and rate; fed facts, gives values, never waits.

    Times are microseconds of one monotonic clock. INVARIANT: at most `concurrent` places are going,
    and in no sixty seconds begin more than `requests_per_minute`.
    """

    __slots__ = ("_begun", "_going", "_lines", "_paused_us", "_served", "_turn", "going", "pace")

    def __init__(self, pace: Pace) -> None:
        """Nobody is in it."""
        self.pace = pace
        self.going = 0
        self._going: dict[str, int] = {}
        self._lines: OrderedDict[str, deque[Place]] = OrderedDict()
        self._served: dict[str, int] = {}
        self._turn = 0
        self._begun: deque[int] = deque()
        self._paused_us = _NEVER_US

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        return sum(map(len, self._lines.values()))

    def is_idle(self, now_us: int) -> bool:
        """Whether forgetting this lane changes nothing."""
        self._forget_begun(now_us)
        return not (self.going or self._lines or self._begun) and now_us >= self._paused_us

    def enter(self, holder: str, now_us: int) -> Place | None:
        """Go at once; None if it must wait, for its turn too."""
        if self._lines or self.wait_us(now_us) != 0:
            return None
        place = Place(holder)
        self._go(place, now_us)
        return place

    def wait(self, holder: str) -> Place | None:
        """Wait in the agent's line; None if too many of this agent's calls wait already."""
        line = self._lines.get(holder)
        if line is None:
            line = self._lines[holder] = deque()
        elif len(line) >= self.pace.queued:
            return None
        place = Place(holder)
        line.append(place)
        return place

    def admit(self, now_us: int) -> list[Place]:
        """Let go whose turn it is; ask whenever `wait_us` may have become 0."""
        admitted = []
        while self._lines and self.wait_us(now_us) == 0:
            holder = min(self._lines, key=self._rank)
            line = self._lines[holder]
            place = line.popleft()
            if not line:
                del self._lines[holder]
            self._go(place, now_us)
            admitted.append(place)
        return admitted

    def leave(self, place: Place, *, was_sent: bool = True) -> None:
        """The call is over, was given up, or never began: harmless if said twice.

        What was never sent (`was_sent` false) does not count in its minute.
        """
        holder = place.holder
        if not place.is_going:
            line = self._lines.get(holder)
            if line is not None and place in line:
                line.remove(place)
                if not line:
                    del self._lines[holder]
            return
        place.is_going = False
        self.going -= 1
        self._going[holder] -= 1
        if not self._going[holder]:
            del self._going[holder]
        if not was_sent and self._begun:
            self._begun.pop()
        if not self.going and not self._lines:
            self._served.clear()

    def pause(self, seconds: float, now_us: int) -> None:
        """The upstream asks to be left alone for so long; a longer pause is not shortened."""
        until_us = now_us + round(min(seconds, LONGEST_PAUSE_S) * _SECOND_US)
        self._paused_us = max(self._paused_us, until_us)

    def wait_us(self, now_us: int) -> int | None:
        """When the next may go: 0 for now, else the time to wait; None: when another has ended."""
        pace = self.pace
        if pace.concurrent is not None and self.going >= pace.concurrent:
            return None
        pause_us = max(0, self._paused_us - now_us)
        per_minute = pace.requests_per_minute
        if per_minute is None:
            return pause_us
        self._forget_begun(now_us)
        if len(self._begun) < per_minute:
            return pause_us
        return max(pause_us, self._begun[-per_minute] + WINDOW_US - now_us)

    def holders(self) -> Iterator[str]:
        """The agents that wait."""
        return iter(self._lines)

    def _rank(self, holder: str) -> tuple[int, int]:
        return self._going.get(holder, 0), self._served.get(holder, 0)

    def _go(self, place: Place, now_us: int) -> None:
        holder = place.holder
        place.is_going = True
        self.going += 1
        self._going[holder] = self._going.get(holder, 0) + 1
        if self.pace.requests_per_minute is not None:
            self._begun.append(now_us)
        self._turn += 1
        self._served[holder] = self._turn

    def _forget_begun(self, now_us: int) -> None:
        begun = self._begun
        while begun and begun[0] <= now_us - WINDOW_US:
            begun.popleft()

"""Pacing: how many calls go to one upstream at a time and in a minute, and whose turn it is.

A lane is one provider or one model. Whoever finds it busy waits in it, each agent in a line of its
own: the next to go is the first of the agent that has the fewest calls on their way, and of equals
the one that has waited for its turn the longest. And no agent may take all of it, be its calls ever
so long: the more is taken, the less may one have more of it, so that something is left for who has
nothing. So no agent can starve another, however many calls it brings.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import final

from ringfence.decisions.rate import WINDOW_US
from ringfence.domain.model import Pace

LONGEST_PAUSE_S = 600.0
"""How long an upstream is believed that asks to be left alone."""

_SECOND_US = 1_000_000
_NEVER_US = -1
_ROUNDING = 1e-9


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

    __slots__ = (
        "_begun",
        "_going",
        "_lines",
        "_paused_us",
        "_recent",
        "_served",
        "_turn",
        "going",
        "pace",
    )

    def __init__(self, pace: Pace) -> None:
        """Nobody is in it."""
        self.pace = pace
        self.going = 0
        self._going: dict[str, int] = {}
        self._lines: OrderedDict[str, deque[Place]] = OrderedDict()
        self._served: dict[str, int] = {}
        self._turn = 0
        self._begun: deque[tuple[int, str]] = deque()
        self._recent: dict[str, int] = {}
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
        if self._wait_us(now_us) != 0 or not self._may(holder):
            return None
        if self._lines and self._next() is not None:
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
        """Let go whose turn it is; ask when a call has ended, and when `next_us` is over."""
        admitted: list[Place] = []
        while self._lines and self._wait_us(now_us) == 0:
            holder = self._next()
            if holder is None:
                break
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
        if not was_sent:
            self._take_back(holder)
        if not self.going and not self._lines:
            self._served.clear()

    def pause(self, seconds: float, now_us: int) -> None:
        """The upstream asks to be left alone for so long; a longer pause is not shortened."""
        until_us = now_us + round(min(seconds, LONGEST_PAUSE_S) * _SECOND_US)
        self._paused_us = max(self._paused_us, until_us)

    def wait_us(self, now_us: int, holder: str) -> int | None:
        """When this agent may go: 0 for now, else the time to wait; None: when another has ended.

        It may have to wait for longer, where others have their turn before it.
        """
        wait_us = self._wait_us(now_us)
        if wait_us is None or self._may(holder):
            return wait_us
        if not self._may_hold(holder):
            return None
        return max(wait_us, self._begun[0][0] + WINDOW_US - now_us)

    def next_us(self, now_us: int) -> int | None:
        """After how long time alone may let somebody go, or end a pause; None: never."""
        waits = [self.wait_us(now_us, holder) for holder in self._lines]
        waits.append(max(0, self._paused_us - now_us) or None)
        return min([each for each in waits if each], default=None)

    def holders(self) -> Iterator[str]:
        """The agents that wait."""
        return iter(self._lines)

    def _wait_us(self, now_us: int) -> int | None:
        """When anybody may go."""
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
        return max(pause_us, self._begun[-per_minute][0] + WINDOW_US - now_us)

    def _next(self) -> str | None:
        """Whose turn it is, of those who may go where anybody may."""
        may = [holder for holder in self._lines if self._may(holder)]
        return min(may, key=self._rank, default=None)

    def _may(self, holder: str) -> bool:
        """Whether enough is left for others if this agent takes one more; ask after `_wait_us`."""
        per_minute = self.pace.requests_per_minute
        if per_minute is not None and not self._leaves(
            self._recent.get(holder, 0), per_minute - len(self._begun)
        ):
            return False
        return self._may_hold(holder)

    def _may_hold(self, holder: str) -> bool:
        concurrent = self.pace.concurrent
        return concurrent is None or self._leaves(
            self._going.get(holder, 0), concurrent - self.going
        )

    def _leaves(self, has: int, free: int) -> bool:
        """A dynamic threshold (Choudhury and Hahne, 1998): what one has grows with what is free.

        Who has nothing may take the last.
        """
        share = self.pace.agent_share
        return has == 0 or (has + 1) * (1 - share) <= share * (free - 1) + _ROUNDING

    def _rank(self, holder: str) -> tuple[int, int]:
        return self._going.get(holder, 0), self._served.get(holder, 0)

    def _go(self, place: Place, now_us: int) -> None:
        holder = place.holder
        place.is_going = True
        self.going += 1
        self._going[holder] = self._going.get(holder, 0) + 1
        if self.pace.requests_per_minute is not None:
            self._begun.append((now_us, holder))
            self._recent[holder] = self._recent.get(holder, 0) + 1
        self._turn += 1
        self._served[holder] = self._turn

    def _forget_begun(self, now_us: int) -> None:
        begun = self._begun
        while begun and begun[0][0] <= now_us - WINDOW_US:
            self._less_recent(begun.popleft()[1])

    def _take_back(self, holder: str) -> None:
        """What has begun last of this agent has not begun."""
        begun = self._begun
        for at in range(len(begun) - 1, -1, -1):
            if begun[at][1] == holder:
                del begun[at]
                self._less_recent(holder)
                return

    def _less_recent(self, holder: str) -> None:
        self._recent[holder] -= 1
        if not self._recent[holder]:
            del self._recent[holder]

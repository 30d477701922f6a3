"""Loops: a conversation that repeats itself, told by its tool calls and their results together.

A poll whose results change is no loop, however often it asks. What somebody says in between begins
another matter. Thresholds are of the agent, and per tool.
"""

from collections import deque
from enum import StrEnum
from fnmatch import fnmatchcase
from itertools import islice
from typing import TypeAlias, final

import msgspec

from ringfence.domain.agent import LoopLimits, Threshold
from ringfence.domain.exchange import Round

PERIODS = (1, 2, 3, 4)
"""Lengths of a cycle, in rounds. What turns about in longer ones shows as no progress."""
SEEN_KEPT = 512
"""How many different rounds of one conversation are remembered."""

_NAMES_SHOWN = 8

Print: TypeAlias = tuple[int, tuple[str, ...]]
"""What is kept of a round: its hash, and the tools it used."""


class LoopKind(StrEnum):
    """In what way a conversation repeats itself."""

    SAME_CALLS = "same_calls"
    """The same calls with the same results, in a cycle."""
    NO_PROGRESS = "no_progress"
    """Nothing that the conversation has not seen before, in no order."""


class Loop(msgspec.Struct, frozen=True, kw_only=True):
    """A repetition that has reached a threshold.

    `times` is how often the cycle of `period` rounds has run, or how many rounds brought nothing
    new (then `period` is 0). `stops`: it has gone on for too long after the hint.
    """

    kind: LoopKind
    period: int
    times: int
    tools: tuple[str, ...]
    stops: bool


@final
class Repetition:
    """How far one conversation repeats itself; fed its rounds in order, never waits.

    Holds hashes only. They are of this process, so that a collision cannot be made from outside.
    """

    __slots__ = ("_recent", "_runs", "_seen", "stale")

    def __init__(self) -> None:
        """Nothing has been said yet."""
        self.clear()

    def clear(self) -> None:
        """Somebody spoke: begin again. What was seen before counts as new again."""
        self._recent: deque[Print] = deque(maxlen=PERIODS[-1])
        self._runs = [0] * len(PERIODS)
        self._seen: dict[int, None] = {}
        self.stale = 0
        """Rounds in a row that were all seen before."""

    def take(self, found: Round) -> None:
        """One more round; an empty one clears."""
        if not found:
            self.clear()
            return
        print_ = hash(found), tuple(dict.fromkeys(use.name for use in found))
        recent = self._recent
        for place, period in enumerate(PERIODS):
            is_again = len(recent) >= period and recent[-period][0] == print_[0]
            self._runs[place] = self._runs[place] + 1 if is_again else 0
        recent.append(print_)
        if print_[0] in self._seen:
            self.stale += 1
        else:
            self.stale = 0
            self._seen[print_[0]] = None
            if len(self._seen) > SEEN_KEPT:
                del self._seen[next(iter(self._seen))]

    def cycle(self) -> tuple[int, int]:
        """The period and the number of times of what turns about most; of equals the shortest.

        A round that has not come again is a cycle of one, once.
        """
        if not any(self._runs):
            return PERIODS[0], 1
        times = [run // period + 1 for run, period in zip(self._runs, PERIODS, strict=True)]
        most = max(times)
        return PERIODS[times.index(most)], most

    def tools(self, rounds: int) -> tuple[str, ...]:
        """The tools that the last so many rounds used, in order, each once."""
        last = islice(reversed(self._recent), rounds)
        return tuple(dict.fromkeys(name for _, names in reversed([*last]) for name in names))


def decide(limits: LoopLimits, found: Repetition) -> Loop | None:
    """Whether a conversation has come to a threshold; None while it may simply go on."""
    period, times = found.cycle()
    usual = limits.usual
    threshold = threshold_of(limits, found.tools(period)) if limits.tools else usual
    if threshold.stop is not None and times >= threshold.stop:
        return _loop(LoopKind.SAME_CALLS, period, times, found.tools(period), stops=True)
    stale, allowed = found.stale, limits.no_progress
    if allowed is not None and limits.tools:
        may_stall = threshold_of(limits, found.tools(PERIODS[-1])).stop is None
    else:
        may_stall = allowed is None or usual.stop is None
    if not may_stall and allowed is not None and stale >= allowed:
        return _loop(LoopKind.NO_PROGRESS, 0, stale, found.tools(PERIODS[-1]), stops=True)
    if threshold.hint is not None and times >= threshold.hint:
        return _loop(LoopKind.SAME_CALLS, period, times, found.tools(period), stops=False)
    if not may_stall and allowed is not None and stale >= max(1, allowed // 2):
        return _loop(LoopKind.NO_PROGRESS, 0, stale, found.tools(PERIODS[-1]), stops=False)
    return None


def threshold_of(limits: LoopLimits, tools: tuple[str, ...]) -> Threshold:
    """The threshold of a cycle: that of its most patient tool.

    An agent that waits calls the tool it waits for, and perhaps another one to sleep.
    """
    if not limits.tools:
        return limits.usual
    return max((_of_tool(limits, name) for name in tools), key=_patience, default=limits.usual)


def _of_tool(limits: LoopLimits, name: str) -> Threshold:
    own = (threshold for pattern, threshold in limits.tools if fnmatchcase(name, pattern))
    return next(own, limits.usual)


def _patience(threshold: Threshold) -> float:
    return float("inf") if threshold.stop is None else threshold.stop


def _loop(kind: LoopKind, period: int, times: int, tools: tuple[str, ...], *, stops: bool) -> Loop:
    return Loop(kind=kind, period=period, times=times, tools=tools[:_NAMES_SHOWN], stops=stops)

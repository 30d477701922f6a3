"""The only source of "now"."""

import time
from collections.abc import Callable
from typing import Protocol, final


class Clock(Protocol):
    """Wall time for records, monotonic time for durations."""

    def now_us(self) -> int:
        """UTC microseconds since 1970."""

    def monotonic_us(self) -> int:
        """Microseconds of a clock that never goes back."""


class SystemClock:
    """The machine's clock.

    INVARIANT: `now_us` never goes back and never stands still. It is the monotonic clock plus the
    furthest that the wall clock was seen ahead of it; so a wall clock that is set forward is
    followed at once, and one that is set back only by the next start.
    """

    __slots__ = ("_ahead_ns", "_monotonic_ns", "_wall_ns")

    def __init__(
        self,
        wall_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Read these two clocks, both in nanoseconds."""
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._ahead_ns = wall_ns() - monotonic_ns()

    def now_us(self) -> int:
        """UTC microseconds since 1970; never earlier than it was."""
        wall_ns = self._wall_ns()
        monotonic_ns = self._monotonic_ns()
        ahead_ns = wall_ns - monotonic_ns
        if ahead_ns > self._ahead_ns:
            self._ahead_ns = ahead_ns
            return wall_ns // 1000
        return (monotonic_ns + self._ahead_ns) // 1000

    def monotonic_us(self) -> int:
        """Microseconds of a clock that never goes back."""
        return self._monotonic_ns() // 1000


@final
class WallWatch:
    """Notices that the wall clock was set, by the monotonic clock beside it."""

    def __init__(
        self,
        wall_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Read these two clocks, both in nanoseconds."""
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._ahead_ns = wall_ns() - monotonic_ns()

    def jumped_s(self) -> float:
        """By how many seconds it was set since this was asked last; below 0 if it was set back."""
        before = self._ahead_ns
        self._ahead_ns = self._wall_ns() - self._monotonic_ns()
        return (self._ahead_ns - before) / 1e9

    def monotonic_us(self) -> int:
        """Microseconds of a clock that never goes back."""
        return self._monotonic_ns() // 1000

"""The only source of "now"."""

import time
from typing import Protocol


class Clock(Protocol):
    """Wall time for records, monotonic time for durations."""

    def now_us(self) -> int:
        """UTC microseconds since 1970."""

    def monotonic_us(self) -> int:
        """Microseconds of a clock that never goes back."""


class SystemClock:
    """The machine's clock."""

    def now_us(self) -> int:
        """UTC microseconds since 1970."""
        return time.time_ns() // 1000

    def monotonic_us(self) -> int:
        """Microseconds of a clock that never goes back."""
        return time.monotonic_ns() // 1000

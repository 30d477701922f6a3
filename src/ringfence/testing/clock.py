"""A clock that moves only when told to."""

_START_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z


class ManualClock:
    """A `transport.clock.Clock` for tests."""

    def __init__(self, now_us: int = _START_US) -> None:
        """Start at a time in UTC microseconds; the monotonic clock starts at zero."""
        self._now_us = now_us
        self._monotonic_us = 0

    def now_us(self) -> int:
        """UTC microseconds since 1970."""
        return self._now_us

    def monotonic_us(self) -> int:
        """Microseconds of a clock that never goes back."""
        return self._monotonic_us

    def advance(self, microseconds: int) -> None:
        """Let time pass on both clocks. Raises ValueError if it would go back."""
        if microseconds < 0:
            raise ValueError("time does not go back; use `set` to change the wall clock alone")
        self._now_us += microseconds
        self._monotonic_us += microseconds

    def set(self, now_us: int) -> None:
        """Change the wall clock alone, as an administrator might; it may go back."""
        self._now_us = now_us

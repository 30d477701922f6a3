"""How many TLS handshakes one sandbox may ask of the plane: each costs far more than a request.

A handshake takes 0.2 ms of the plane's processor and the first for a host, whose certificate must
be made, 2 ms, where a request on an open connection takes 0.1. All sandboxes share that processor.
"""

from dataclasses import dataclass
from typing import Final, final

_SECOND_US: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class HandshakeLimits:
    """Package managers open a few dozen connections at once and keep them; a loop of curl is slow.

    In a second 60 are about 1 % of a processor; where every one is for a new host only 7 pass.
    """

    open: int = 128
    """So many may be unfinished at once."""
    burst: int = 600
    """So many may follow each other at once, after a rest."""
    per_second: int = 60
    """So many may follow each other for ever."""
    new_host: int = 8
    """As many as the first for a host counts."""


@final
class Handshakes:
    """Counts those of one sandbox. Times are microseconds of one clock that never goes back."""

    __slots__ = ("_limits", "_open", "_room", "_seen_us")

    def __init__(self, limits: HandshakeLimits, now_us: int) -> None:
        """Rested."""
        self._limits = limits
        self._open = 0
        self._room: float = limits.burst
        self._seen_us = now_us

    def begin(self, now_us: int, *, is_new_host: bool) -> bool:
        """Whether one more may begin now; then `end` follows, however it ends."""
        limits = self._limits
        gained = (now_us - self._seen_us) * limits.per_second / _SECOND_US
        self._room = min(limits.burst, self._room + gained)
        self._seen_us = now_us
        weight = limits.new_host if is_new_host else 1
        if self._open >= limits.open or self._room < weight:
            return False
        self._room -= weight
        self._open += 1
        return True

    def end(self) -> None:
        """One that began is done, or came to nothing."""
        self._open -= 1

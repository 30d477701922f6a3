"""The only source of chance: ids and secrets."""

import base64
import os
import secrets
from typing import Protocol

from ringfence.domain import identifier
from ringfence.domain.identifier import Prefix
from ringfence.transport.clock import Clock

_POOL_BYTES = 10 * 400
_ID_BYTES = 10
_ID_BITS_MASK = (1 << 74) - 1


class Ids(Protocol):
    """Makes ids."""

    def make(self, prefix: Prefix) -> str:
        """A fresh id of that type."""


class RandomIds:
    """Ids from the system's randomness, drawn in blocks to save a system call per id."""

    def __init__(self, clock: Clock) -> None:
        """INVARIANT: made after fork, so that no two processes share a pool."""
        self._clock = clock
        self._endings: list[str] = []
        self._at_ms = -1
        self._time = ""

    def make(self, prefix: Prefix) -> str:
        """A fresh id of that type."""
        if not self._endings:
            self._endings = _endings()
        at_ms = self._clock.now_us() // 1000
        if at_ms != self._at_ms:
            self._at_ms, self._time = at_ms, f"_{at_ms:012x}"
        # What `identifier.make` builds; the ending, which has no time in it, was made before.
        return prefix + self._time + self._endings.pop()


def _endings() -> list[str]:
    """What follows the time in so many ids, made together: half the cost of one at a time."""
    drawn = os.urandom(_POOL_BYTES)
    return [
        identifier.ending(int.from_bytes(drawn[at : at + _ID_BYTES], "big") & _ID_BITS_MASK)
        for at in range(0, _POOL_BYTES, _ID_BYTES)
    ]


def secret(prefix: str) -> str:
    """A fresh secret: the prefix and 256 random bits in URL-safe base64."""
    return prefix + base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode()


def random_bytes(count: int) -> bytes:
    """So many random bytes, for keys and what is used once."""
    return os.urandom(count)


def hash_seed() -> str:
    """A fresh value of PYTHONHASHSEED, for processes that must hash alike and unlike others."""
    return str(int.from_bytes(os.urandom(4), "big") or 1)


def choice(letters: str) -> str:
    """One of these characters, each as likely."""
    return secrets.choice(letters)

"""The only source of chance: ids and secrets."""

import base64
import os
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
        self._pool = b""
        self._at = 0

    def make(self, prefix: Prefix) -> str:
        """A fresh id of that type."""
        if self._at >= len(self._pool):
            self._pool = os.urandom(_POOL_BYTES)
            self._at = 0
        chunk = self._pool[self._at : self._at + _ID_BYTES]
        self._at += _ID_BYTES
        randomness = int.from_bytes(chunk, "big") & _ID_BITS_MASK
        return identifier.make(prefix, self._clock.now_us() // 1000, randomness)


def secret(prefix: str) -> str:
    """A fresh secret: the prefix and 256 random bits in URL-safe base64."""
    return prefix + base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode()


def hash_seed() -> str:
    """A fresh value of PYTHONHASHSEED, for processes that must hash alike and unlike others."""
    return str(int.from_bytes(os.urandom(4), "big") or 1)

"""Segments: the leaves of one group commit, packed into one row."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ringfence.stores.compression import Compressor, decompress

GROUP: Final = 100
"""Most events in one segment (DESIGN §6)."""

_LEVEL: Final = 1
"""Measured on realistic leaves: 9 times smaller at 2 µs per call; level 3 gains 1 %."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment read back; its leaves are numbered from `first`."""

    first: int
    count: int
    low_us: int
    high_us: int
    leaves: tuple[bytes, ...]


class SegmentWriter:
    """Appends segments to one log; keeps what the next row needs to know of the last."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Begin after what the log holds."""
        self._connection = connection
        self._compressor = Compressor(_LEVEL)
        row = connection.execute(
            "SELECT first + count, high_us FROM segments ORDER BY first DESC LIMIT 1"
        ).fetchone()
        self.next_sequence: int = row[0] if row else 1
        self._high_us: int = row[1] if row else 0

    def append(self, leaves: list[bytes], low_us: int, high_us: int) -> None:
        """Write leaves as one row; durable when this returns, unless within a transaction.

        The first leaf has `next_sequence`, which moves on only if nothing is raised.
        """
        high_us = max(high_us, self._high_us)
        packed = self._compressor.compress(b"\n".join(leaves))
        self._connection.execute(
            "INSERT INTO segments VALUES (?, ?, ?, ?, ?)",
            (self.next_sequence, len(leaves), low_us, high_us, packed),
        )
        self.next_sequence += len(leaves)
        self._high_us = high_us


_COLUMNS = "SELECT first, count, low_us, high_us, leaves FROM segments"


def containing(connection: sqlite3.Connection, sequence: int) -> Segment | None:
    """The segment that holds a sequence."""
    row = connection.execute(
        f"{_COLUMNS} WHERE first <= ? ORDER BY first DESC LIMIT 1", (sequence,)
    ).fetchone()
    segment = _unpack(row) if row else None
    return segment if segment and sequence < segment.first + segment.count else None


def following(connection: sqlite3.Connection, sequence: int) -> Iterator[Segment]:
    """All segments that begin after a sequence, in order."""
    rows = connection.execute(f"{_COLUMNS} WHERE first > ? ORDER BY first", (sequence,))
    return map(_unpack, rows)


def _unpack(row: tuple[int, int, int, int, bytes]) -> Segment:
    first, count, low_us, high_us, leaves = row
    return Segment(first, count, low_us, high_us, tuple(decompress(leaves).split(b"\n")))

"""Write many rows with one statement.

`executemany` gives the interpreter away and takes it back for every row, which stalls beside a busy
event loop; one statement with many rows does so once.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, final

_LARGE = (64, 32)
_SMALL = 16


@final
class Bulk:
    """An insert whose number of rows varies; few distinct texts, so that all stay prepared."""

    def __init__(self, head: str, width: int, tail: str = "") -> None:
        """Take what stands before and after the rows, each of `width` values."""
        self._width = width
        row = f"({', '.join('?' * width)})"
        self._texts = {
            rows: f"{head} {', '.join([row] * rows)} {tail}"
            for rows in (*_LARGE, *range(1, _SMALL + 1))
        }

    def read(
        self, connection: sqlite3.Connection, values: Sequence[object]
    ) -> Iterator[tuple[Any, ...]]:
        """The same for a question whose answers are those of its parts."""
        at, left = 0, len(values) // self._width
        while left:
            rows = next((size for size in _LARGE if left >= size), min(left, _SMALL))
            end = at + rows * self._width
            yield from connection.execute(self._texts[rows], values[at:end]).fetchall()
            at, left = end, left - rows

    def run(self, connection: sqlite3.Connection, values: list[object]) -> None:
        """Write rows given one after another in one flat list."""
        at, left = 0, len(values) // self._width
        while left:
            rows = next((size for size in _LARGE if left >= size), min(left, _SMALL))
            end = at + rows * self._width
            connection.execute(self._texts[rows], values[at:end])
            at, left = end, left - rows

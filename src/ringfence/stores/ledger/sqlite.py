"""A log kept in an SQLite file of its own: each batch one row, committed with FULL sync."""

import errno
import sqlite3
from pathlib import Path
from typing import Self, final

from ringfence.stores.database import transaction, translated
from ringfence.stores.ledger import derived
from ringfence.stores.ledger.backend import Batch
from ringfence.stores.ledger.fence import Fence
from ringfence.stores.ledger.log import open_log
from ringfence.stores.ledger.projection import Projection
from ringfence.stores.ledger.rows import catch_up
from ringfence.stores.ledger.schema import LEDGER
from ringfence.stores.ledger.segment import SegmentWriter
from ringfence.stores.ledger.sqlite_rows import SqliteRows


@final
class SqliteLog:
    """Implements `backend.Backend`."""

    def __init__(self, fence: Fence, connection: sqlite3.Connection) -> None:
        """Use `open`."""
        self.log_id = fence.log_id
        self._fence = fence
        self._connection = connection
        self._file = _identity(fence.path)
        derived.commit(connection, catch_up(SqliteRows(fence.log_id, fence.path, connection)))
        self._segments = SegmentWriter(connection)
        self.pending: list[tuple[str, str]] = connection.execute(
            "SELECT organisation, action FROM pending"
        ).fetchall()

    @classmethod
    def open(cls, fence: Fence) -> Self:
        """Open the fenced log, making it if there is none; it releases the fence when closed.

        Raises as `stores.database.open_writable`.
        """
        connection = open_log(fence)
        try:
            with translated(fence.path, LEDGER.noun):
                return cls(fence, connection)
        except BaseException:
            connection.close()
            raise

    @property
    def next_sequence(self) -> int:
        """The number that the next leaf gets."""
        return self._segments.next_sequence

    def commit(self, batch: Batch) -> None:
        """Write a batch as one row."""
        with translated(self._fence.path, LEDGER.noun):
            self._require()
            self._segments.append(batch)

    def derive(self, projection: Projection) -> None:
        """Bring the derived tables up to date."""
        with translated(self._fence.path, LEDGER.noun):
            derived.commit(self._connection, projection)

    def probe(self) -> None:
        """Raise unless a transaction that changes something gets through."""
        with translated(self._fence.path, LEDGER.noun):
            self._require()
            with transaction(self._connection):
                for step in (1, -1):  # SQLite writes no page for a value that stays the same
                    self._connection.execute("UPDATE log SET projected = projected + ?", (step,))

    def close(self) -> None:
        """Close the file and release the fence."""
        self._connection.close()
        self._fence.release()

    def _require(self) -> None:
        """Raise OSError if the file is no longer where it was: SQLite would go on in a lost one."""
        if _identity(self._fence.path) != self._file:
            raise OSError(errno.ESTALE, "another file has taken its place")


def _identity(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_dev, stat.st_ino

"""The logs of a data folder, each in a file of its own."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import final

from ringfence.stores.body import BodySearch
from ringfence.stores.database import open_writable, transaction, translated
from ringfence.stores.ledger.fence import Fence, log_ids, log_path, require_logs
from ringfence.stores.ledger.log import open_log
from ringfence.stores.ledger.schema import LEDGER
from ringfence.stores.ledger.sqlite import SqliteLog
from ringfence.stores.ledger.sqlite_rows import SqliteRows


@final
class SqliteHeld:
    """A fenced file; implements `rows.HeldLog`."""

    def __init__(self, fence: Fence) -> None:
        """Hold the log by its fence."""
        self.log_id = fence.log_id
        self._fence = fence

    def open(self) -> SqliteLog:
        """The log until it is closed, which releases the fence."""
        return SqliteLog.open(self._fence)

    @contextmanager
    def writing(self) -> Iterator[SqliteLog]:
        """The log for a moment."""
        connection = open_log(self._fence)
        try:
            with translated(self._fence.path, LEDGER.noun):
                log = SqliteLog(self._fence, connection)
            yield log
        finally:
            connection.close()

    def release(self) -> None:
        """Release the fence."""
        self._fence.release()


@final
class SqliteLogs:
    """Implements `rows.Logs`."""

    def __init__(self, folder: Path) -> None:
        """Take the data folder; files are opened when they are needed."""
        self._folder = folder
        self._search = BodySearch(folder)

    def ids(self) -> list[str]:
        """By the names of the files."""
        return log_ids(self._folder)

    def require(self) -> None:
        """By what stands in the locks beside the files."""
        require_logs(self._folder)

    def take(self, log_id: str) -> SqliteHeld:
        """By the lock beside the file."""
        return SqliteHeld(Fence.take(self._folder, log_id))

    def read(self, log_id: str) -> SqliteRows:
        """Its file, opened for reading."""
        return SqliteRows.open(log_id, log_path(self._folder, log_id))

    def delete(
        self, log_id: str, firsts: Sequence[int], told: Sequence[tuple[str, str]] = ()
    ) -> None:
        """In one transaction; what is freed is overwritten."""
        path = log_path(self._folder, log_id)
        with translated(path, LEDGER.noun), closing(open_writable(path, LEDGER)) as connection:
            connection.execute("PRAGMA secure_delete = ON")
            with transaction(connection):
                connection.executemany(
                    "DELETE FROM segments WHERE first = ?", ((first,) for first in firsts)
                )
                connection.executemany(
                    "UPDATE invocations SET task = '' WHERE organisation = ? AND id = ?", told
                )

    def search(self, organisation: str, text: str, *, limit: int) -> list[str]:
        """Through the index beside the organisation's bodies."""
        return self._search.actions(organisation, text, limit=limit)

    def close(self) -> None:
        """Every opened file has an owner of its own."""

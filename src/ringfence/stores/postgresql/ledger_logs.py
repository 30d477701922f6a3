"""The logs of a database, each written by one process and read by any."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Final, final

from psycopg import IsolationLevel

from ringfence.stores.postgresql.address import Address
from ringfence.stores.postgresql.body_search import BodySearch
from ringfence.stores.postgresql.connection import Connection, connect, translated
from ringfence.stores.postgresql.hold import NOUN, Hold
from ringfence.stores.postgresql.ledger import PostgresLog
from ringfence.stores.postgresql.ledger_rows import PostgresRows
from ringfence.stores.postgresql.migration import require_newest
from ringfence.stores.postgresql.schema import STORES

_DELETE: Final = b"DELETE FROM ledger_segments WHERE log = %s AND first = ANY(%s)"

_FORGET: Final = b"""UPDATE ledger_invocations SET task = ''
    WHERE organisation = %s AND id = %s AND log = %s"""


@final
class PostgresHeld:
    """Implements `stores.ledger.rows.HeldLog`."""

    def __init__(self, hold: Hold) -> None:
        """Keep the right to write."""
        self.log_id = hold.log_id
        self._hold = hold

    def open(self) -> PostgresLog:
        """The log until it is closed, which lets others write it."""
        return PostgresLog.open(self._hold)

    @contextmanager
    def writing(self) -> Iterator[PostgresLog]:
        """The log for a moment."""
        yield PostgresLog.open(self._hold)

    def release(self) -> None:
        """Let others write."""
        self._hold.release()


@final
class PostgresLogs:
    """Implements `stores.ledger.rows.Logs`; what is read is read on one connection."""

    def __init__(self, address: Address) -> None:
        """Connect when something is asked."""
        self._address = address
        self._reading: Connection | None = None
        self._search = BodySearch(address)

    def ids(self) -> list[str]:
        """Their ids, oldest first."""
        connection = self._connection()
        with translated(NOUN):
            rows = connection.execute("SELECT id FROM ledger_logs ORDER BY id").fetchall()
        return [log_id for (log_id,) in rows]

    def require(self) -> None:
        """A table that is gone shows itself when it is asked."""

    def take(self, log_id: str) -> PostgresHeld:
        """By a session's lock."""
        return PostgresHeld(Hold.take(self._address, log_id))

    def read(self, log_id: str) -> PostgresRows:
        """Its rows."""
        return PostgresRows(self._connection(), log_id)

    def delete(
        self, log_id: str, firsts: Sequence[int], told: Sequence[tuple[str, str]] = ()
    ) -> None:
        """In one transaction."""
        with (
            closing(connect(self._address)) as connection,
            translated(NOUN),
            connection.transaction(),
        ):
            connection.execute(_DELETE, (log_id, list(firsts)))
            for organisation, invocation in told:
                connection.execute(_FORGET, (organisation, invocation, log_id))

    def search(self, organisation: str, text: str, *, limit: int) -> list[str]:
        """Through the organisation's words."""
        return self._search.actions(organisation, text, limit=limit)

    def close(self) -> None:
        """Close the connection."""
        if self._reading is not None:
            self._reading.close()
            self._reading = None

    def _connection(self) -> Connection:
        """Raises as `connect`, and UsageError `schema_newer` or `schema_older`."""
        if self._reading is None or self._reading.closed:
            connection = connect(self._address)
            try:
                with translated(NOUN):
                    require_newest(connection, STORES)
                    connection.isolation_level = IsolationLevel.REPEATABLE_READ
            except BaseException:
                connection.close()
                raise
            self._reading = connection
        return self._reading

"""One connection for one purpose that all planes share: bounded, and made anew when it broke."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, final

import psycopg

from ringfence.stores.postgresql.address import Address
from ringfence.stores.postgresql.connection import Connection, connect, translated
from ringfence.stores.postgresql.migration import require_newest
from ringfence.stores.postgresql.schema import NOTING, STORES

NOUN: Final = "what planes share"

_SETTLE: Final = (
    # Who stops in the middle of a change must not stop all others for long.
    "SET idle_in_transaction_session_timeout = '2s'",
    "SET statement_timeout = '4s'",
    "SET tcp_keepalives_idle = 5",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 2",
    """SELECT set_config('synchronous_commit', 'on', false)
        WHERE current_setting('synchronous_commit') IN ('off', 'local')""",
)


@final
class Exchange:
    """Used by one thread at a time. INVARIANT: made after fork."""

    def __init__(self, address: Address) -> None:
        """Connect when something is asked."""
        self._address = address
        self._connection: Connection | None = None

    @contextmanager
    def open(self) -> Iterator[Connection]:
        """The connection, for statements that each are a transaction unless one is begun.

        One on which anything failed is closed: what it was doing is undone. Raises UnavailableError
        `store_unavailable`; and as `connect`.
        """
        try:
            with translated(NOUN):
                connection = self._connected()
                yield connection
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; a transaction on it is undone."""
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            connection = connect(self._address)
            try:
                require_newest(connection, {**STORES, **NOTING})
                for statement in _SETTLE:
                    connection.execute(statement.encode())
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

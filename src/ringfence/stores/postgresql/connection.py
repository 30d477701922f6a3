"""Connections to PostgreSQL: bounded in time, and with errors that are ours and tell no secret."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TypeVar, final

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from ringfence.domain.error import RingfenceError, UnavailableError, UsageError
from ringfence.stores.postgresql.address import Address

PATIENCE_S: Final = 5.0
"""How long a statement may take before its server counts as gone: one with group commits, look-ups
and short pages takes milliseconds. Work that is known to take longer says so."""

_INTERVAL_S: Final = 0.1
Result = TypeVar("Result")

_TOLD: Final = ("08", "25", "53", "57", "58", "XX")
"""Classes of SQLSTATE whose text is about the server, never about data (appendix A)."""

_READ_ONLY: Final = "25006"


@final
class Connection(psycopg.Connection[TupleRow]):
    """A connection on which nothing waits for ever: what exceeds `patience_s` closes it."""

    patience_s: float = PATIENCE_S

    def wait(
        self, gen: PQGen[Result], interval: float = _INTERVAL_S, timeout: float | None = None
    ) -> Result:
        """Drive one exchange with the server. Raises psycopg.OperationalError."""
        try:
            return super().wait(gen, interval, self.patience_s if timeout is None else timeout)
        except psycopg.OperationalError:
            # Whatever still comes belongs to a question that nobody asks any more.
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.close()
            raise


def connect(address: Address, *, is_autocommit: bool = True) -> Connection:
    """A new connection; one that ended is never revived, since its locks are gone.

    Raises UsageError `database_refused` or `database_unknown`, UnavailableError
    `store_unavailable`.
    """
    try:
        connection = Connection.connect(address.conninfo(), autocommit=is_autocommit)
    except psycopg.Error as error:
        raise _not_connected(address, str(error)) from error
    connection.prepare_threshold = 1
    return connection


@contextmanager
def translated(noun: str) -> Iterator[None]:
    """Turn PostgreSQL's errors into ours, keeping the cause."""
    try:
        yield
    except psycopg.Error as error:
        raise unavailable(noun, error) from error


def unavailable(noun: str, error: psycopg.Error) -> RingfenceError:
    """What an error of a running connection is to whoever asked."""
    state = error.sqlstate
    if state is None:  # the connection itself failed; libpq's first line tells how
        why = str(error).strip().split("\n", maxsplit=1)[0].rstrip(".") or type(error).__name__
    elif state.startswith(_TOLD):
        why = error.diag.message_primary or state
    else:
        why = f"{type(error).__name__} ({state})"
    advice = ""
    if state == _READ_ONLY:
        advice = "name the primary server: this one only follows it"
    return UnavailableError(
        "store_unavailable", f"{noun} in PostgreSQL does not answer: {why}", help=advice
    )


def _not_connected(address: Address, text: str) -> RingfenceError:
    """The server's reasons come as text alone (libpq keeps no SQLSTATE of a refused start)."""
    if "authentication failed" in text or "no password supplied" in text:
        return UsageError(
            "database_refused",
            f"`{address.shown}` refuses the user or the password",
            help="check both; the password can also stand in a file, see PGPASSFILE",
        )
    if "no pg_hba.conf entry" in text:
        return UsageError(
            "database_refused",
            f"`{address.shown}` lets nobody in from here",
            help="add this machine and user to the server's pg_hba.conf",
        )
    if 'role "' in text and "does not exist" in text:
        return UsageError(
            "database_refused",
            f"`{address.shown}` knows no such user",
            help="CREATE ROLE … LOGIN PASSWORD …",
        )
    if 'database "' in text and "does not exist" in text:
        return UsageError(
            "database_unknown",
            f"there is no database of that name at `{address.shown}`",
            help="CREATE DATABASE …; Ringfence makes its tables itself",
        )
    return UnavailableError(
        "store_unavailable",
        f"no PostgreSQL server answers at `{address.shown}`",
        help="start it, or check host and port",
    )

"""Let one process alone write a log, and keep one that was cut off from ever writing it again."""

from contextlib import ExitStack, suppress
from typing import Final, Self, final

import psycopg

from ringfence.domain.error import UnavailableError, UsageError
from ringfence.stores.ledger.backend import TakenOverError
from ringfence.stores.postgresql.address import Address
from ringfence.stores.postgresql.connection import Connection, connect, translated
from ringfence.stores.postgresql.migration import migrate
from ringfence.stores.postgresql.schema import STORES

NOUN: Final = "ledger"

_TRIES: Final = 4
_PAUSE_S: Final = 0.1

_SETTLE: Final = (
    # A plane that vanished lets go of its logs within 15 s; nothing waits longer than its client.
    "SET tcp_keepalives_idle = 5",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 2",
    "SET statement_timeout = '10s'",
    # A commit that returns is on disk (I1); a server that promises more than that keeps doing so.
    """SELECT set_config('synchronous_commit', 'on', false)
        WHERE current_setting('synchronous_commit') IN ('off', 'local')""",
)
_LOCK: Final = (
    "SELECT pg_try_advisory_lock(hashtextextended(current_schema() || ':ringfence:log:' || %s, 0))"
)
_TAKE: Final = """INSERT INTO ledger_logs VALUES (%s, 1, 0)
    ON CONFLICT (id) DO UPDATE SET fence = ledger_logs.fence + 1 RETURNING fence"""
_IS_OURS: Final = "SELECT 1 FROM ledger_logs WHERE id = %s AND fence = %s"
_END_SESSION: Final = """SELECT pg_terminate_backend(pid) FROM pg_locks
    WHERE locktype = 'advisory' AND pid = %s AND granted"""


@final
class Hold:
    """The right to write one log.

    A session's lock keeps others off while the connection lives. `fence` is a number that grows
    with each taking: whoever held the log before and comes back finds that it is no longer theirs.
    INVARIANT: taken after fork.
    """

    def __init__(self, address: Address, log_id: str, connection: Connection, fence: int) -> None:
        """Use `take`."""
        self.address = address
        self.log_id = log_id
        self.connection = connection
        self.fence = fence
        self._session = connection.info.backend_pid

    @classmethod
    def take(cls, address: Address, log_id: str) -> Self:
        """Take a log, making it if there is none.

        Raises UsageError `log_in_use` if another process (or this one) holds it, `schema_newer`;
        and as `connect`.
        """
        with ExitStack() as undo:
            connection = _session(address)
            undo.callback(connection.close)
            with translated(NOUN):
                if not _lock(connection, log_id):
                    raise UsageError(
                        "log_in_use",
                        f"log `{log_id}` is being written by another process",
                        help="stop the other plane, or let this one write a log of its own",
                    )
                (fence,) = connection.execute(_TAKE, (log_id,)).fetchone() or (0,)
            undo.pop_all()
        return cls(address, log_id, connection, fence)

    def retake(self) -> None:
        """Come back on a new connection, if nobody else took the log meanwhile.

        Raises UnavailableError `store_unavailable` if somebody did, or the server is still away.
        """
        self.connection.close()
        with ExitStack() as undo:
            connection = _session(self.address)
            undo.callback(connection.close)
            with translated(NOUN):
                if not _lock(connection, self.log_id):
                    # Perhaps the server has not noticed yet that our own old session is gone.
                    connection.execute(_END_SESSION, (self._session,))
                    raise UnavailableError(
                        "store_unavailable", f"log `{self.log_id}` is still held by a session"
                    )
                if connection.execute(_IS_OURS, (self.log_id, self.fence)).fetchone() is None:
                    raise self.lost()
            undo.pop_all()
        self.connection, self._session = connection, connection.info.backend_pid

    def lost(self) -> TakenOverError:
        """The error of one who was cut off while another took over."""
        return TakenOverError(
            "store_unavailable",
            f"log `{self.log_id}` was taken over by another process",
            help="start this one again: it will write a log of its own",
        )

    def release(self) -> None:
        """Let others write; may be called twice."""
        with suppress(psycopg.Error):  # one that broke has let go already
            self.connection.execute("SELECT pg_advisory_unlock_all()")
        self.connection.close()


def _session(address: Address) -> Connection:
    connection = connect(address)
    try:
        with translated(NOUN):
            migrate(connection, STORES)
            for statement in _SETTLE:
                connection.execute(statement.encode())
    except BaseException:
        connection.close()
        raise
    return connection


def _lock(connection: Connection, log_id: str) -> bool:
    """Whether the log is ours now. A session that has just died holds on for a moment."""
    for _ in range(_TRIES):
        (is_taken,) = connection.execute(_LOCK, (log_id,)).fetchone() or (False,)
        if is_taken:
            return True
        connection.execute("SELECT pg_sleep(%s)", (_PAUSE_S,))
    return False

"""What is derived from the events of a log: accounts, invocations, pending intents, traces.

A projection gathers many events in memory and is written in one transaction together with the
sequence it is complete up to, so that a crash loses nothing: what lies behind that sequence is
gathered again from the segments.

INVARIANT: every derived table is a function of the segments alone; `rebuild` proves it.
"""

import sqlite3
from typing import Final, final

from ringfence.domain.event import AnyEvent, Change, Intent, Outcome
from ringfence.stores.bulk import Bulk
from ringfence.stores.database import transaction
from ringfence.stores.ledger import segment
from ringfence.stores.ledger.activity import Activity, Key
from ringfence.stores.ledger.format import decode

_TABLES: Final = ("traces", "pending", "accounts", "invocations")

_ADD_TRACES: Final = Bulk("INSERT OR IGNORE INTO traces VALUES", 3)
_ADD_PENDING: Final = Bulk("INSERT INTO pending VALUES", 3)
# The inner SELECT makes SQLite look each row up; with bare VALUES it scans the table.
_CLOSE_PENDING: Final = Bulk(
    "DELETE FROM pending WHERE (organisation, action) IN (SELECT * FROM (VALUES", 2, "))"
)
_ADD_ACCOUNTS: Final = Bulk(
    "INSERT INTO accounts VALUES",
    6,
    "ON CONFLICT DO UPDATE SET spent_nano = spent_nano + excluded.spent_nano",
)


@final
class Projection:
    """Gathers events until it is written; `count` tells how many."""

    def __init__(self) -> None:
        """Nothing is gathered yet."""
        self._clear()

    def _clear(self) -> None:
        self.count = 0
        self._through = 0
        self._traces: dict[tuple[str, str, int], None] = {}
        self._opened: dict[Key, int] = {}
        self._closed: list[Key] = []
        self._spent: dict[tuple[str, str, str, str, str], int] = {}
        self._activity = Activity()

    def apply(self, event: AnyEvent, sequence: int, first: int) -> None:
        """Take in the event of that sequence, which stands in the segment beginning at `first`."""
        self.count += 1
        self._through = sequence
        root = event.root or event.invocation
        if root:
            self._traces[event.organisation, root, first] = None
        if isinstance(event, Intent):
            self._opened[event.organisation, event.action] = sequence
            self._activity.add_intent(event)
        elif isinstance(event, Outcome):
            self._apply_outcome(event)
        elif isinstance(event, Change):
            self._activity.add_change(event)
        elif event.invocation:
            self._activity.add_refusal(event)

    def _apply_outcome(self, event: Outcome) -> None:
        organisation, cost_nano = event.organisation, int(event.cost_nano)
        key = (organisation, event.action)
        if self._opened.pop(key, None) is None:
            self._closed.append(key)
        self._activity.add_outcome(event, cost_nano)
        spent = self._spent
        for line in event.accounts:
            account = (organisation, line.scope, line.holder, line.per, line.window_us)
            spent[account] = spent.get(account, 0) + cost_nano

    def write(self, connection: sqlite3.Connection) -> None:
        """Bring the tables up to date, within the caller's transaction."""
        opened, spent = self._opened.items(), self._spent.items()
        _ADD_TRACES.run(connection, [value for key in self._traces for value in key])
        _ADD_PENDING.run(connection, [value for key, at in opened for value in (*key, at)])
        _CLOSE_PENDING.run(connection, [value for key in self._closed for value in key])
        _ADD_ACCOUNTS.run(
            connection,
            [
                value
                for (
                    *key,
                    start,
                ), nano in spent
                for value in (*key, int(start), nano)
            ],
        )
        self._activity.write(connection)
        connection.execute("UPDATE log SET projected = max(projected, ?)", (self._through,))

    def commit(self, connection: sqlite3.Connection) -> None:
        """Write in a transaction of its own, if there is anything, and begin anew.

        Not synced: if a power cut takes it, the sequence it was complete up to goes with it.
        """
        if not self.count:
            return
        connection.execute("PRAGMA synchronous = NORMAL")
        try:
            with transaction(connection):
                self.write(connection)
        finally:
            connection.execute("PRAGMA synchronous = FULL")
        self._clear()


def catch_up(connection: sqlite3.Connection) -> Projection:
    """Gather what the derived tables of a log do not hold yet; it is still to be written."""
    (projected,) = connection.execute("SELECT projected FROM log").fetchone()
    projection = Projection()
    last = segment.containing(connection, projected)
    for part in segment.following(connection, last.first - 1 if last else 0):
        for sequence, leaf in enumerate(part.leaves, part.first):
            if sequence > projected:
                projection.apply(decode(leaf), sequence, part.first)
    return projection


def rebuild(connection: sqlite3.Connection, *, every: int = 10_000) -> None:
    """Make all derived tables anew from the segments, in one transaction and bounded memory."""
    with transaction(connection):
        for table in _TABLES:
            connection.execute(f"DELETE FROM {table}")  # noqa: S608 (a constant)
        connection.execute("UPDATE log SET projected = 0")
        projection = Projection()
        for part in segment.following(connection, 0):
            for sequence, leaf in enumerate(part.leaves, part.first):
                projection.apply(decode(leaf), sequence, part.first)
            if projection.count >= every:
                projection.write(connection)
                projection = Projection()
        projection.write(connection)

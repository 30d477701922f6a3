"""What is derived from the events of a log: accounts, invocations, pending intents, traces.

A projection gathers many events in memory and is written in one transaction together with the
sequence it is complete up to, so that a crash loses nothing: what lies behind that sequence is
gathered again from the segments.

INVARIANT: every derived table is a function of the segments alone; `rebuild` proves it.
"""

import sqlite3
from typing import final

from ringfence.domain.event import AnyEvent, Change, Intent, Outcome, Refusal
from ringfence.stores.bulk import Bulk
from ringfence.stores.database import transaction
from ringfence.stores.ledger import segment
from ringfence.stores.ledger.format import decode
from ringfence.stores.ledger.invocation import ENDINGS, OPENED, Opening, read_opening

_Key = tuple[str, str]
"""Organisation and id."""

_TABLES = ("traces", "pending", "accounts", "invocations")

_ADD_TRACES = Bulk("INSERT OR IGNORE INTO traces VALUES", 3)
_ADD_PENDING = Bulk("INSERT INTO pending VALUES", 3)
_CLOSE_PENDING = Bulk(
    "DELETE FROM pending WHERE (organisation, action) IN (SELECT * FROM (VALUES", 2, "))"
)
_ADD_ACCOUNTS = Bulk(
    "INSERT INTO accounts VALUES",
    6,
    "ON CONFLICT DO UPDATE SET spent_nano = spent_nano + excluded.spent_nano",
)
# What a later event knows better than the first one: an invocation may begin with a refusal.
_ADD_INVOCATIONS = Bulk(
    "INSERT INTO invocations (organisation, id, root, agent, credential, opened_us, last_us, steps,"
    " cost_nano, refusals, parent, depth, grouping, external_id) VALUES",
    14,
    """ON CONFLICT DO UPDATE SET
        last_us = max(last_us, excluded.last_us),
        steps = steps + excluded.steps,
        cost_nano = cost_nano + excluded.cost_nano,
        refusals = refusals + excluded.refusals,
        parent = coalesce(parent, excluded.parent),
        depth = max(depth, excluded.depth),
        grouping = CASE grouping WHEN '' THEN excluded.grouping ELSE grouping END,
        external_id = coalesce(external_id, excluded.external_id)""",
)
_DESCRIBE = """UPDATE invocations
    SET agent = ?, parent = ?, depth = ?, grouping = ?, external_id = ?, credential = ?,
        deadline_us = ?, token_digest = ?, narrowing = ?, task = ?
    WHERE organisation = ? AND id = ?"""
_END = "UPDATE invocations SET state = ? WHERE organisation = ? AND id = ?"


@final
class _Touch:
    """What happened to one invocation since the projection was last written."""

    __slots__ = (
        "agent", "cost", "credential", "depth", "external_id", "grouping", "last_us", "opened_us",
        "parent", "refusals", "root", "steps",
    )  # fmt: skip

    def __init__(self, root: str, agent: str, credential: str, time_us: str) -> None:
        self.root = root
        self.agent = agent
        self.credential = credential
        self.opened_us = time_us
        self.last_us = time_us
        self.steps = 0
        self.cost = 0
        self.refusals = 0
        self.parent: str | None = None
        self.depth = 0
        self.grouping = ""
        self.external_id: str | None = None


@final
class Projection:
    """Gathers events until it is written."""

    def __init__(self) -> None:
        """Nothing is gathered yet."""
        self.count = 0
        self._through = 0
        self._clear()

    def _clear(self) -> None:
        self.count = 0
        self._traces: dict[tuple[str, str, int], None] = {}
        self._opened: dict[_Key, int] = {}
        self._closed: list[_Key] = []
        self._spent: dict[tuple[str, str, str, str, str], int] = {}
        self._touched: dict[_Key, _Touch] = {}
        self._described: list[tuple[_Key, Opening]] = []
        self._ended: list[tuple[_Key, str]] = []

    def apply(self, event: AnyEvent, sequence: int, first: int) -> None:
        """Take in the event of that sequence, which stands in the segment beginning at `first`."""
        self.count += 1
        self._through = sequence
        if event.root:
            self._traces[event.organisation, event.root, first] = None
        if isinstance(event, Intent):
            self._apply_intent(event, sequence)
        elif isinstance(event, Outcome):
            self._apply_outcome(event)
        elif isinstance(event, Refusal):
            if event.invocation:
                self._touch(event).refusals += event.repeats or 1
        elif event.what.startswith("invocation."):
            self._apply_change(event)

    def _apply_intent(self, event: Intent, sequence: int) -> None:
        self._opened[event.organisation, event.action] = sequence
        touch = self._touch(event)
        touch.steps += 1
        if not touch.grouping:
            touch.parent = event.parent
            touch.depth = event.depth
            touch.grouping = event.grouping
            touch.external_id = event.external_id

    def _apply_outcome(self, event: Outcome) -> None:
        organisation = event.organisation
        key = (organisation, event.action)
        if self._opened.pop(key, None) is None:
            self._closed.append(key)
        cost = int(event.cost_nano)
        self._touch(event).cost += cost
        spent = self._spent
        for line in event.accounts:
            account = (organisation, line.scope, line.holder, line.per, line.window_us)
            spent[account] = spent.get(account, 0) + cost

    def _touch(self, event: Intent | Outcome | Refusal) -> _Touch:
        key = (event.organisation, event.invocation)
        touch = self._touched.get(key)
        if touch is None:
            touch = _Touch(event.root, event.agent, event.credential, event.time_us)
            self._touched[key] = touch
        else:
            touch.last_us = event.time_us
        return touch

    def _apply_change(self, event: Change) -> None:
        key = (event.organisation, event.subject)
        opening = read_opening(event) if event.what == OPENED else None
        if opening is not None:
            self._described.append((key, opening))
        elif event.what in ENDINGS:
            self._ended.append((key, ENDINGS[event.what].value))
        else:
            return
        touch = self._touched.get(key)
        if touch is None:
            agent, credential = (opening.agent, opening.credential) if opening else ("", "")
            root = event.root or event.subject
            self._touched[key] = _Touch(root, agent, credential, event.time_us)
        else:
            touch.last_us = event.time_us

    def write(self, connection: sqlite3.Connection) -> None:
        """Bring the tables up to date, within the caller's transaction."""
        _ADD_TRACES.run(connection, [value for key in self._traces for value in key])
        _ADD_PENDING.run(connection, [v for k, s in self._opened.items() for v in (*k, s)])
        _CLOSE_PENDING.run(connection, [value for key in self._closed for value in key])
        _ADD_ACCOUNTS.run(
            connection,
            [v for (*key, window_us), spent in self._spent.items()
             for v in (*key, int(window_us), spent)],
        )  # fmt: skip
        self._write_invocations(connection)
        if self._through:
            connection.execute("UPDATE log SET projected = ?", (self._through,))

    def _write_invocations(self, connection: sqlite3.Connection) -> None:
        values: list[object] = []
        for key, touch in self._touched.items():
            values += key
            values += (
                touch.root, touch.agent, touch.credential, int(touch.opened_us), int(touch.last_us),
                touch.steps, touch.cost, touch.refusals,
                touch.parent, touch.depth, touch.grouping, touch.external_id,
            )  # fmt: skip
        _ADD_INVOCATIONS.run(connection, values)
        for key, opening in self._described:
            connection.execute(
                _DESCRIBE,
                (
                    opening.agent, opening.parent, opening.depth, opening.grouping,
                    opening.external_id, opening.credential, opening.deadline_us,
                    opening.token_digest, opening.narrowing, opening.task, *key,
                ),
            )  # fmt: skip
        connection.executemany(_END, [(state, *key) for key, state in self._ended])

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

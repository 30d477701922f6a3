"""The derived tables of one log's file: write a projection, rebuild.

INVARIANT: every derived table is a function of the segments alone; `rebuild` proves it. Only the
ends of invocations may come from another log, that of their registry: they are copied when a plane
starts, so that the next start does not read these invocations again.
"""

import sqlite3
from typing import Final

import msgspec

from ringfence.stores.bulk import Bulk
from ringfence.stores.database import transaction
from ringfence.stores.ledger import segment
from ringfence.stores.ledger.activity import Activity
from ringfence.stores.ledger.format import decode
from ringfence.stores.ledger.projection import Projection

_TABLES: Final = ("traces", "pending", "accounts", "invocations")

_ADD_TRACES: Final = Bulk("INSERT OR REPLACE INTO traces VALUES", 4)
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

# An invocation may begin with a refusal, or end unseen: what a later event knows is filled in.
_ADD_INVOCATIONS: Final = Bulk(
    "INSERT INTO invocations (organisation, id, root, agent, credential, opened_us, last_us, steps,"
    " cost_nano, refusals, parent, depth, grouping, external_id) VALUES",
    14,
    """ON CONFLICT DO UPDATE SET
        last_us = max(last_us, excluded.last_us),
        steps = steps + excluded.steps,
        cost_nano = cost_nano + excluded.cost_nano,
        refusals = refusals + excluded.refusals,
        agent = iif(agent = '', excluded.agent, agent),
        credential = iif(credential = '', excluded.credential, credential),
        parent = iif(grouping = '', excluded.parent, parent),
        depth = iif(grouping = '', excluded.depth, depth),
        external_id = iif(grouping = '', excluded.external_id, external_id),
        grouping = iif(grouping = '', excluded.grouping, grouping)""",
)
_DESCRIBE: Final = """UPDATE invocations
    SET agent = coalesce(nullif(?, ''), agent), credential = coalesce(nullif(?, ''), credential),
        parent = ?, depth = ?, grouping = ?, external_id = ?,
        deadline_us = ?, token_digest = ?, narrowing = ?, task = ?
    WHERE organisation = ? AND id = ?"""
_END: Final = "UPDATE invocations SET state = ? WHERE organisation = ? AND id = ?"


def write(connection: sqlite3.Connection, projection: Projection) -> None:
    """Bring the tables up to date with a projection, within the caller's transaction."""
    traces = projection.traces.items()
    _ADD_TRACES.run(
        connection,
        [value for key, at in traces for value in (*key, at[0], msgspec.json.encode(at).decode())],
    )
    opened = projection.opened.items()
    _ADD_PENDING.run(connection, [value for key, at in opened for value in (*key, at)])
    _CLOSE_PENDING.run(connection, [value for key in projection.closed for value in key])
    accounts: list[object] = []
    for (*key, start_us), nano in projection.spent.items():
        accounts += (*key, int(start_us), nano)
    _ADD_ACCOUNTS.run(connection, accounts)
    _write_activity(connection, projection.activity)
    connection.execute("UPDATE log SET projected = max(projected, ?)", (projection.through,))


def _write_activity(connection: sqlite3.Connection, activity: Activity) -> None:
    values: list[object] = []
    for key, touch in activity.touched.items():
        values += key
        values += (
            touch.root, touch.agent, touch.credential, touch.opened_us, touch.last_us,
            touch.steps, touch.cost, touch.refusals,
            touch.parent, touch.depth, touch.grouping, touch.external_id,
        )  # fmt: skip
    _ADD_INVOCATIONS.run(connection, values)
    for key, opening in activity.described:
        described = (
            opening.agent, opening.credential, opening.parent, opening.depth, opening.grouping,
            opening.external_id, opening.deadline_us, opening.token_digest, opening.narrowing,
            opening.task,
        )  # fmt: skip
        connection.execute(_DESCRIBE, (*described, *key))
    connection.executemany(_END, [(state, *key) for key, state in activity.ended])


def commit(connection: sqlite3.Connection, projection: Projection) -> None:
    """Write a projection in a transaction of its own, if there is anything in it.

    Not synced: if a power cut takes it, the sequence it was complete up to goes with it.
    """
    if not projection.count:
        return
    connection.execute("PRAGMA synchronous = NORMAL")
    try:
        with transaction(connection):
            write(connection, projection)
    finally:
        connection.execute("PRAGMA synchronous = FULL")


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
                write(connection, projection)
                projection = Projection()
        write(connection, projection)

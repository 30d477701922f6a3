"""A log kept in PostgreSQL: each batch one row, committed before anybody is told."""

from collections.abc import Sequence
from typing import Final, Self, final

from ringfence.stores.compression import Compressor
from ringfence.stores.ledger.activity import Activity
from ringfence.stores.ledger.backend import Batch
from ringfence.stores.ledger.projection import Projection
from ringfence.stores.ledger.rows import catch_up
from ringfence.stores.ledger.segment import LEVEL
from ringfence.stores.postgresql.connection import translated
from ringfence.stores.postgresql.hold import NOUN, Hold
from ringfence.stores.postgresql.ledger_rows import PostgresRows

# The log's row is locked against whoever would take the log over, until the segment is committed.
_COMMIT: Final = b"""WITH held AS (
        SELECT id FROM ledger_logs WHERE id = %s AND fence = %s FOR SHARE
    ) INSERT INTO ledger_segments SELECT id, %s, %s, %s, %s, %s FROM held"""
_WITHDRAW: Final = b"DELETE FROM ledger_segments WHERE log = %s AND first >= %s"
_PROBE: Final = b"UPDATE ledger_logs SET projected = projected WHERE id = %s AND fence = %s"
_LAST: Final = b"""SELECT first + count, high_us FROM ledger_segments WHERE log = %s
    ORDER BY first DESC LIMIT 1"""
_PENDING: Final = b"SELECT organisation, action FROM ledger_pending WHERE log = %s"

_UNSYNCED: Final = b"SET LOCAL synchronous_commit = off"
_ADVANCE: Final = b"""UPDATE ledger_logs SET projected = greatest(projected, %s)
    WHERE id = %s AND fence = %s"""
_ADD_TRACES: Final = b"""INSERT INTO ledger_traces
    SELECT organisation, root, %s, first, string_to_array(segments, ' ')::bigint[]
    FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::text[])
        AS fresh (organisation, root, first, segments)
    ON CONFLICT (organisation, root, log, first) DO UPDATE SET segments = excluded.segments"""
_ADD_PENDING: Final = b"""INSERT INTO ledger_pending
    SELECT organisation, action, %s, sequence
    FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS fresh (organisation, action, sequence)"""
_CLOSE_PENDING: Final = b"""DELETE FROM ledger_pending AS open
    USING unnest(%s::text[], %s::text[]) AS ended (organisation, action)
    WHERE open.organisation = ended.organisation AND open.action = ended.action
        AND open.log = %s"""
_ADD_ACCOUNTS: Final = b"""INSERT INTO ledger_accounts AS account
    SELECT organisation, scope, holder, per, window_us, %s, nano
    FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::bigint[])
        AS fresh (organisation, scope, holder, per, window_us, nano)
    ON CONFLICT (organisation, scope, holder, per, window_us, log)
        DO UPDATE SET spent_nano = account.spent_nano + excluded.spent_nano"""
# An invocation may begin with a refusal, or end unseen: what a later event knows is filled in.
_ADD_INVOCATIONS: Final = b"""INSERT INTO ledger_invocations AS known (log, organisation, id, root,
        agent, credential, opened_us, last_us, steps, cost_nano, refusals,
        parent, depth, grouping, external_id)
    SELECT %s, * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
        %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[],
        %s::text[], %s::int[], %s::text[], %s::text[])
    ON CONFLICT (organisation, id, log) DO UPDATE SET
        last_us = greatest(known.last_us, excluded.last_us),
        steps = known.steps + excluded.steps,
        cost_nano = known.cost_nano + excluded.cost_nano,
        refusals = known.refusals + excluded.refusals,
        agent = coalesce(nullif(known.agent, ''), excluded.agent),
        credential = coalesce(nullif(known.credential, ''), excluded.credential),
        parent = CASE known.grouping WHEN '' THEN excluded.parent ELSE known.parent END,
        depth = CASE known.grouping WHEN '' THEN excluded.depth ELSE known.depth END,
        external_id =
            CASE known.grouping WHEN '' THEN excluded.external_id ELSE known.external_id END,
        grouping = coalesce(nullif(known.grouping, ''), excluded.grouping)"""
_DESCRIBE: Final = b"""UPDATE ledger_invocations
    SET agent = coalesce(nullif(%s, ''), agent), credential = coalesce(nullif(%s, ''), credential),
        parent = %s, depth = %s, grouping = %s, external_id = %s,
        deadline_us = %s, token_digest = %s, narrowing = %s, task = %s
    WHERE organisation = %s AND id = %s AND log = %s"""
_END: Final = b"""UPDATE ledger_invocations AS known SET state = ended.state
    FROM unnest(%s::text[], %s::text[], %s::text[]) AS ended (organisation, id, state)
    WHERE known.organisation = ended.organisation AND known.id = ended.id AND known.log = %s"""


@final
class PostgresLog:
    """Implements `stores.ledger.backend.Backend`.

    A commit whose answer was lost may have happened. Nobody was told that it did, so it is
    withdrawn before anything else is written: what failed has changed nothing.
    """

    def __init__(self, hold: Hold) -> None:
        """Use `open`."""
        self.log_id = hold.log_id
        self._hold = hold
        self._compressor = Compressor(LEVEL)
        self._write(catch_up(PostgresRows(hold.connection, hold.log_id)))
        row = hold.connection.execute(_LAST, (self.log_id,)).fetchone()
        self.next_sequence: int = row[0] if row else 1
        self._high_us: int = row[1] if row else 0
        self.pending: list[tuple[str, str]] = [
            (organisation, action)
            for organisation, action in hold.connection.execute(_PENDING, (self.log_id,))
        ]

    @classmethod
    def open(cls, hold: Hold) -> Self:
        """Open a held log; it is released when closed. Raises UnavailableError."""
        with translated(NOUN):
            return cls(hold)

    def commit(self, batch: Batch) -> None:
        """Write a batch as one row."""
        high_us = max(batch.high_us, self._high_us)
        packed = self._compressor.compress(batch.data)
        values = (
            self.log_id, self._hold.fence,
            batch.first, batch.count, batch.low_us, high_us, packed,
        )  # fmt: skip
        with translated(NOUN):
            cursor = self._hold.connection.execute(_COMMIT, values)
        if cursor.rowcount != 1:
            raise self._hold.lost()
        self.next_sequence = batch.first + batch.count
        self._high_us = high_us

    def derive(self, projection: Projection) -> None:
        """Bring the derived tables up to date, if that was not done already."""
        with translated(NOUN):
            self._write(projection)

    def probe(self) -> None:
        """Raise unless the log can be written; comes back on a new connection if the old broke."""
        hold = self._hold
        if hold.connection.closed:
            hold.retake()
        with translated(NOUN), hold.connection.transaction():
            hold.connection.execute(_WITHDRAW, (self.log_id, self.next_sequence))
            if hold.connection.execute(_PROBE, (self.log_id, hold.fence)).rowcount != 1:
                raise hold.lost()

    def close(self) -> None:
        """Let others write the log."""
        self._hold.release()

    def _write(self, projection: Projection) -> None:
        """All in one transaction, whose answer may be lost as any other's."""
        if not projection.count:
            return
        connection, log = self._hold.connection, self.log_id
        with connection.transaction():
            rows = PostgresRows(connection, log)
            if projection.through and rows.projected() >= projection.through:
                return
            with connection.pipeline():
                connection.execute(_UNSYNCED)
                advanced = connection.execute(_ADVANCE, (projection.through, log, self._hold.fence))
                self._write_tables(projection)
            if advanced.rowcount != 1:
                raise self._hold.lost()

    def _write_tables(self, projection: Projection) -> None:
        execute, log = self._hold.connection.execute, self.log_id
        traces = [(*key, at[0], " ".join(map(str, at))) for key, at in projection.traces.items()]
        opened = [(*key, sequence) for key, sequence in projection.opened.items()]
        accounts = [
            (*account, int(start_us), nano)
            for (*account, start_us), nano in projection.spent.items()
        ]
        if traces:
            execute(_ADD_TRACES, (log, *_columns(traces)))
        if opened:
            execute(_ADD_PENDING, (log, *_columns(opened)))
        if projection.closed:
            execute(_CLOSE_PENDING, (*_columns(projection.closed), log))
        if accounts:
            execute(_ADD_ACCOUNTS, (log, *_columns(accounts)))
        self._write_activity(projection.activity)

    def _write_activity(self, activity: Activity) -> None:
        execute, log = self._hold.connection.execute, self.log_id
        touched = [
            (
                *key, touch.root, touch.agent, touch.credential, touch.opened_us, touch.last_us,
                touch.steps, touch.cost, touch.refusals,
                touch.parent, touch.depth, touch.grouping, _text(touch.external_id),
            )
            for key, touch in activity.touched.items()
        ]  # fmt: skip
        if touched:
            execute(_ADD_INVOCATIONS, (log, *_columns(touched)))
        for key, opening in activity.described:
            described = (
                opening.agent, opening.credential, opening.parent, opening.depth,
                opening.grouping, _text(opening.external_id), opening.deadline_us,
                opening.token_digest, _text(opening.narrowing), _text(opening.task),
            )  # fmt: skip
            execute(_DESCRIBE, (*described, *key, log))
        if activity.ended:
            ended = [(*key, state) for key, state in dict(activity.ended).items()]
            execute(_END, (*_columns(ended), log))


def _columns(rows: Sequence[tuple[object, ...]]) -> list[list[object]]:
    """What is given row by row, column by column: one array for each."""
    return [list(column) for column in zip(*rows, strict=True)]


def _text(value: str | None) -> str | None:
    """PostgreSQL's texts cannot hold NUL; the leaf keeps what was really said."""
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if value else value

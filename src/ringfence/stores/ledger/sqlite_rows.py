"""Read the file of one log."""

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final, Self, final

from ringfence.domain.budget import AccountKey
from ringfence.stores.database import open_readable, translated
from ringfence.stores.ledger import call_count, derived, segment
from ringfence.stores.ledger.activity import Key
from ringfence.stores.ledger.invocation import InvocationRecord, select
from ringfence.stores.ledger.projection import Projection
from ringfence.stores.ledger.rows import InvocationPage, RawSegment
from ringfence.stores.ledger.schema import LEDGER
from ringfence.stores.ledger.segment import Range, Segment

_PAGE: Final = """organisation = :organisation AND id < :before AND id >= :floor
    AND (:root IS NULL OR root = :root)
    ORDER BY id DESC LIMIT :most"""
_CLOSED: Final = """state IN ('finished', 'stopped') AND external_id IS NOT NULL
    AND last_us > :since_us ORDER BY last_us DESC LIMIT :most"""
_ENDED: Final = """SELECT state FROM invocations
    WHERE organisation = ? AND id = ? AND state <> 'open'"""
# The key begins with the organisation: each is looked up, and accounts of runs are never walked.
_LASTING: Final = """WITH RECURSIVE known (organisation) AS (
        SELECT min(organisation) FROM accounts
        UNION ALL SELECT (
            SELECT min(organisation) FROM accounts WHERE organisation > known.organisation
        ) FROM known WHERE organisation IS NOT NULL
    )
    SELECT organisation, scope, holder, per, window_us, spent_nano FROM accounts
    WHERE organisation IN (SELECT organisation FROM known)
        AND scope IN ('agent', 'user', 'team', 'organisation')
        AND (per = 'total' OR window_us > ?)"""
_OF_RUN: Final = """SELECT organisation, scope, holder, per, window_us, spent_nano FROM accounts
    WHERE organisation = ? AND scope IN ('invocation', 'tree') AND holder = ?"""
_FIRSTS: Final = (
    "SELECT held.value FROM traces, json_each(traces.segments) AS held"
    "     WHERE traces.organisation = ? AND traces.root = ?"
    " UNION SELECT first FROM segments, log"
    "     WHERE first + count > projected AND first >= projected - ?"
    " ORDER BY 1"
)


@final
class SqliteRows:
    """Implements `rows.LogRows`."""

    def __init__(self, log_id: str, path: Path, connection: sqlite3.Connection) -> None:
        """Read on an open connection, which is closed with this."""
        self.log_id = log_id
        self._path = path
        self._connection = connection

    @classmethod
    def open(cls, log_id: str, path: Path) -> Self:
        """Open the file. Raises as `open_readable`."""
        return cls(log_id, path, open_readable(path, LEDGER))

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """A transaction."""
        with translated(self._path, LEDGER.noun):
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                self._connection.execute("COMMIT")

    def projected(self) -> int:
        """As the log's one row says."""
        with translated(self._path, LEDGER.noun):
            (projected,) = self._connection.execute("SELECT projected FROM log").fetchone()
            return int(projected)

    def next_sequence(self) -> int:
        """The sequence after the last one."""
        with translated(self._path, LEDGER.noun):
            return segment.next_sequence(self._connection)

    def seek(self, time_us: int) -> int:
        """By halving."""
        with translated(self._path, LEDGER.noun):
            return segment.seek(self._connection, time_us)

    def containing(self, sequence: int) -> Segment | None:
        """The segment that holds a sequence."""
        with translated(self._path, LEDGER.noun):
            return segment.containing(self._connection, sequence)

    def following(self, sequence: int) -> Iterator[Segment]:
        """One row after the other."""
        with translated(self._path, LEDGER.noun):
            yield from segment.following(self._connection, sequence)

    def page(self, within: Range, *, is_newest_first: bool) -> list[Segment]:
        """Some segments from one end of a range; none if there is none left."""
        with translated(self._path, LEDGER.noun):
            return segment.page(self._connection, within, is_newest_first=is_newest_first)

    def raw(self, after: int, most: int) -> list[RawSegment]:
        """Some rows of segments as they stand in the file."""
        with translated(self._path, LEDGER.noun):
            return self._connection.execute(
                "SELECT first, count, low_us, high_us, leaves FROM segments WHERE first > ?"
                " ORDER BY first LIMIT ?",
                (after, most),
            ).fetchall()

    def parts_of(self, organisation: str, root: str | None) -> list[Segment]:
        """The segments of a tree in order, and the newest ones, whose trees are not yet known."""
        with translated(self._path, LEDGER.noun):
            rows = self._connection.execute(_FIRSTS, (organisation, root, segment.GROUP)).fetchall()
            parts = (segment.containing(self._connection, first) for (first,) in rows)
            return [part for part in parts if part is not None]

    def root_of(self, organisation: str, invocation: str) -> str | None:
        """The top of an invocation's tree."""
        with translated(self._path, LEDGER.noun):
            row = self._connection.execute(
                "SELECT root FROM invocations WHERE organisation = ? AND id = ?",
                (organisation, invocation),
            ).fetchone()
        return str(row[0]) if row else None

    def invocations(self, page: InvocationPage) -> list[InvocationRecord]:
        """As the derived tables have them."""
        with translated(self._path, LEDGER.noun):
            return select(self._connection, _PAGE, asdict(page))

    def runs(self, after: Key, most: int) -> list[InvocationRecord]:
        """Along the primary key."""
        where = "(organisation, id) > (:organisation, :id) ORDER BY organisation, id LIMIT :most"
        values = {"organisation": after[0], "id": after[1], "most": most}
        with translated(self._path, LEDGER.noun):
            return select(self._connection, where, values)

    def unended(self) -> Sequence[int]:
        """The sequences of intents without outcome, in order."""
        with translated(self._path, LEDGER.noun):
            rows = self._connection.execute("SELECT sequence FROM pending ORDER BY sequence")
            return [sequence for (sequence,) in rows]

    def spent(self, since_us: int, runs: Collection[Key]) -> Iterable[tuple[AccountKey, int, int]]:
        """What may still matter of the accounts."""
        with translated(self._path, LEDGER.noun):
            rows = self._connection.execute(_LASTING, (since_us,)).fetchall()
            for run in runs:
                rows += self._connection.execute(_OF_RUN, run)
        yield from call_count.read(rows)

    def open_invocations(self) -> list[InvocationRecord]:
        """Those that have not ended."""
        with translated(self._path, LEDGER.noun):
            return select(self._connection, "state = 'open'")

    def ended(self, invocations: Iterable[Key]) -> dict[Key, str]:
        """One look at the primary key for each."""
        with translated(self._path, LEDGER.noun):
            found = ((key, self._connection.execute(_ENDED, key).fetchone()) for key in invocations)
            return {key: str(row[0]) for key, row in found if row is not None}

    def closed_invocations(self, since_us: int, most: int) -> list[InvocationRecord]:
        """Named ones that were ended on purpose after a time: the latest first."""
        with translated(self._path, LEDGER.noun):
            return select(self._connection, _CLOSED, {"since_us": since_us, "most": most})

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def derived_alone(projection: Projection, page: InvocationPage) -> list[InvocationRecord]:
    """The invocations that one projection makes, as if nothing had been derived before."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as memory:
        for statement in (statement for step in LEDGER.steps for statement in step):
            memory.execute(statement)
        derived.write(memory, projection)
        return select(memory, _PAGE, asdict(page))

"""Read a log in PostgreSQL."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, final

from psycopg.rows import dict_row

from ringfence.domain.budget import AccountKey
from ringfence.stores.compression import decompress
from ringfence.stores.ledger import call_count, segment
from ringfence.stores.ledger.activity import Key
from ringfence.stores.ledger.invocation import COLUMNS, InvocationRecord, from_row
from ringfence.stores.ledger.rows import InvocationPage, RawSegment
from ringfence.stores.ledger.segment import Range, Segment
from ringfence.stores.postgresql.connection import Connection, translated
from ringfence.stores.postgresql.hold import NOUN

_SEGMENTS: Final = "SELECT first, count, low_us, high_us, leaves FROM ledger_segments"
_CONTAINING: Final = (
    _SEGMENTS + " WHERE log = %(log)s AND first <= %(sequence)s ORDER BY first DESC LIMIT 1"
)
_UPWARDS: Final = (
    _SEGMENTS + " WHERE log = %(log)s AND first >= %(lower)s AND first < %(upper)s"
    " AND low_us < %(until)s ORDER BY first LIMIT %(most)s"
)
_DOWNWARDS: Final = _UPWARDS.replace("ORDER BY first", "ORDER BY first DESC")
_RAW: Final = _SEGMENTS + " WHERE log = %(log)s AND first > %(after)s ORDER BY first LIMIT %(most)s"
_NEXT: Final = """SELECT first + count FROM ledger_segments WHERE log = %(log)s
    ORDER BY first DESC LIMIT 1"""
# INVARIANT: `high_us` never falls within a log.
_SEEK: Final = """SELECT first FROM ledger_segments WHERE log = %(log)s AND high_us >= %(time)s
    ORDER BY high_us, first LIMIT 1"""
_OF_TREE: Final = """ WHERE log = %(log)s AND first IN (
        SELECT unnest(segments) FROM ledger_traces
            WHERE organisation = %(organisation)s AND root = %(root)s AND log = %(log)s
        UNION SELECT first FROM ledger_segments AS newest, ledger_logs
            WHERE newest.log = %(log)s AND ledger_logs.id = %(log)s
                AND first + count > projected AND first >= projected - %(group)s
    ) ORDER BY first"""
_PARTS: Final = _SEGMENTS + _OF_TREE
_ROOT: Final = """SELECT root FROM ledger_invocations
    WHERE organisation = %(organisation)s AND id = %(id)s AND log = %(log)s"""
_INVOCATIONS: Final = f"SELECT {COLUMNS} FROM ledger_invocations WHERE log = %(log)s"  # noqa: S608 (a constant)
_PAGE_OF_INVOCATIONS: Final = (
    _INVOCATIONS
    + """ AND organisation = %(organisation)s AND id < %(before)s AND id >= %(floor)s
    AND (%(root)s::text IS NULL OR root = %(root)s) ORDER BY id DESC LIMIT %(most)s"""
)
_RUNS: Final = (
    _INVOCATIONS
    + """ AND (organisation, id) > (%(organisation)s, %(id)s)
    ORDER BY organisation, id LIMIT %(most)s"""
)
_OPEN: Final = _INVOCATIONS + " AND state = 'open'"
_CLOSED: Final = (
    _INVOCATIONS
    + """ AND state IN ('finished', 'stopped') AND external_id IS NOT NULL
    AND last_us > %(since)s ORDER BY last_us DESC LIMIT %(most)s"""
)
_ENDED: Final = """SELECT organisation, id, state FROM ledger_invocations
    WHERE log = %(log)s AND state <> 'open' AND id = ANY(%(ids)s)"""
_UNENDED: Final = "SELECT sequence FROM ledger_pending WHERE log = %(log)s ORDER BY sequence"
_SPENT: Final = """SELECT organisation, scope, holder, per, window_us, spent_nano
    FROM ledger_accounts WHERE log = %(log)s AND CASE
        WHEN scope IN ('invocation', 'tree') THEN holder = ANY(%(ids)s)
        WHEN per = 'total' THEN true
        ELSE window_us > %(since)s
    END"""

_PAGE: Final = 64


@final
class PostgresRows:
    """Implements `stores.ledger.rows.LogRows`."""

    def __init__(self, connection: Connection, log_id: str) -> None:
        """Read one log on a connection, which stays its owner's."""
        self.log_id = log_id
        self._connection = connection

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """One transaction that sees one state; writers are not held back by it."""
        with translated(NOUN), self._connection.transaction():
            yield

    def projected(self) -> int:
        """As the log's own row says."""
        return self._number("SELECT projected FROM ledger_logs WHERE id = %(log)s") or 0

    def next_sequence(self) -> int:
        """The sequence after the last one."""
        return self._number(_NEXT) or 1

    def seek(self, time_us: int) -> int:
        """By the index on times."""
        return self._number(_SEEK, time=time_us) or self.next_sequence()

    def containing(self, sequence: int) -> Segment | None:
        """The segment that holds a sequence."""
        rows = self._all(_CONTAINING, sequence=sequence)
        found = _unpack(rows[0]) if rows else None
        return found if found and sequence < found.first + found.count else None

    def following(self, sequence: int) -> Iterator[Segment]:
        """Page after page."""
        within = Range(lower=sequence + 1)
        while page := self.page(within, is_newest_first=False):
            yield from page
            within = within.beyond(page[-1], is_newest_first=False)

    def page(self, within: Range, *, is_newest_first: bool) -> list[Segment]:
        """Some segments from one end of a range; none if there is none left."""
        rows = self._all(
            _DOWNWARDS if is_newest_first else _UPWARDS,
            lower=within.lower,
            upper=within.upper,
            until=within.until_us,
            most=_PAGE,
        )
        return list(map(_unpack, rows))

    def raw(self, after: int, most: int) -> list[RawSegment]:
        """Some rows of segments as they stand in the table."""
        rows = self._all(_RAW, after=after, most=most)
        return [(first, count, low, high, packed) for first, count, low, high, packed in rows]

    def parts_of(self, organisation: str, root: str | None) -> list[Segment]:
        """In one question."""
        asked = {"organisation": organisation, "root": root, "group": segment.GROUP}
        return list(map(_unpack, self._all(_PARTS, **asked)))

    def root_of(self, organisation: str, invocation: str) -> str | None:
        """The top of an invocation's tree."""
        rows = self._all(_ROOT, organisation=organisation, id=invocation)
        return str(rows[0][0]) if rows else None

    def invocations(self, page: InvocationPage) -> list[InvocationRecord]:
        """As the derived tables have them."""
        return self._records(
            _PAGE_OF_INVOCATIONS,
            organisation=page.organisation,
            root=page.root,
            before=page.before,
            floor=page.floor,
            most=page.most,
        )

    def unended(self) -> Sequence[int]:
        """The sequences of intents without outcome, in order."""
        return [sequence for (sequence,) in self._all(_UNENDED)]

    def spent(self, since_us: int, runs: Collection[Key]) -> Iterable[tuple[AccountKey, int, int]]:
        """What may still matter of the accounts."""
        ids = [run for _, run in runs]
        found = self._all(_SPENT, since=since_us, ids=ids)
        yield from call_count.read(found)

    def runs(self, after: Key, most: int) -> list[InvocationRecord]:
        """Along the primary key."""
        return self._records(_RUNS, organisation=after[0], id=after[1], most=most)

    def open_invocations(self) -> list[InvocationRecord]:
        """Those that have not ended."""
        return self._records(_OPEN)

    def ended(self, invocations: Iterable[Key]) -> dict[Key, str]:
        """In one question."""
        asked = set(invocations)
        found = self._all(_ENDED, ids=[invocation for _, invocation in asked])
        ended = {(organisation, invocation): state for organisation, invocation, state in found}
        return {key: state for key, state in ended.items() if key in asked}

    def closed_invocations(self, since_us: int, most: int) -> list[InvocationRecord]:
        """Named ones that were ended on purpose after a time: the latest first."""
        return self._records(_CLOSED, since=since_us, most=most)

    def close(self) -> None:
        """The connection is its owner's."""

    def _number(self, query: str, **values: object) -> int | None:
        rows = self._all(query, **values)
        return int(rows[0][0]) if rows else None

    def _all(self, query: str, **values: object) -> list[tuple[Any, ...]]:
        with translated(NOUN):
            values["log"] = self.log_id
            return self._connection.execute(query.encode(), values, binary=True).fetchall()

    def _records(self, query: str, **values: object) -> list[InvocationRecord]:
        with translated(NOUN), self._connection.cursor(row_factory=dict_row) as cursor:
            values["log"] = self.log_id
            return list(map(from_row, cursor.execute(query.encode(), values)))


def _unpack(row: tuple[Any, ...]) -> Segment:
    first, count, low_us, high_us, leaves = row
    return Segment(first, count, low_us, high_us, decompress(leaves))

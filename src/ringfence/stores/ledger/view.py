"""Read one log: its segments, and what is derived from them up to its newest event."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, final

import msgspec

from ringfence.stores.database import open_readable, translated
from ringfence.stores.ledger import derived, segment
from ringfence.stores.ledger.invocation import InvocationRecord, merge, select
from ringfence.stores.ledger.query import Filter, InvocationFilter, Matcher, Place, Stored
from ringfence.stores.ledger.schema import LEDGER
from ringfence.stores.ledger.segment import Segment

_PAGE: Final = 200

_INVOCATIONS: Final = """organisation = :organisation AND id < :before AND id >= :floor
    AND (:root IS NULL OR root = :root)
    ORDER BY id DESC LIMIT :page"""

_ABOVE_ALL_IDS: Final = "\U0010ffff"


class _Belonging(msgspec.Struct):
    """What must be known of an event to tell whose it is."""

    organisation: str
    root: str = ""


_belonging: Final = msgspec.json.Decoder(_Belonging).decode


@final
class LogView:
    """A read-only view of one log; no transaction of it outlives a page.

    All methods raise UsageError `store_damaged` and UnavailableError `store_unavailable`.
    """

    def __init__(self, log_id: str, path: Path) -> None:
        """Open the log. Raises as `open_readable`."""
        self._log_id = log_id
        self._path = path
        self._connection = open_readable(path, LEDGER)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def events(self, asked: Filter, matcher: Matcher) -> Iterator[Stored]:
        """The events asked for, in the order of `Place`; the limit is the caller's."""
        after = Place.parse(asked.after) if asked.after else None
        is_down = asked.is_newest_first
        for part in self._parts(asked, after):
            if not matcher.may_be_in(part.data):
                continue
            numbered = list(enumerate(part.leaves, part.first))
            for sequence, leaf in reversed(numbered) if is_down else numbered:
                if matcher.has(leaf):
                    place = Place(part.high_us, self._log_id, sequence)
                    if after is None or (place < after if is_down else place > after):
                        yield Stored(leaf, place)

    def trace(self, organisation: str, root: str) -> Iterator[Stored]:
        """All events of a tree, in order."""
        wanted = _Belonging(organisation, root)
        needle = b'"root":' + msgspec.json.encode(root)
        with self._snapshot() as connection:
            parts = _parts_of(connection, organisation, root)
        for part in parts:
            if needle not in part.data:
                continue
            for sequence, leaf in enumerate(part.leaves, part.first):
                if needle in leaf and _belonging(leaf) == wanted:
                    yield Stored(leaf, Place(part.high_us, self._log_id, sequence))

    def leaves(self, organisation: str) -> Iterator[bytes]:
        """All leaves of an organisation, in the order of the log and in bounded memory."""
        needle = b'"organisation":' + msgspec.json.encode(organisation)
        for part in self._pages(segment.Range(), is_newest_first=False):
            for leaf in part.leaves:
                if needle in leaf and _belonging(leaf).organisation == organisation:
                    yield leaf

    def invocations(self, asked: InvocationFilter) -> Iterator[InvocationRecord]:
        """Invocations by falling id, filtered by their tree alone."""
        before = asked.after or _ABOVE_ALL_IDS
        while True:
            page, is_last = self._page_of_invocations(asked, before)
            yield from page
            if is_last:
                return
            before = page[-1].invocation.id

    def _page_of_invocations(
        self, asked: InvocationFilter, before: str
    ) -> tuple[list[InvocationRecord], bool]:
        """Some invocations below an id, and whether there are no more."""
        values = {
            "organisation": asked.organisation,
            "root": asked.root,
            "before": before,
            "floor": "",
            "page": _PAGE,
        }
        with self._snapshot() as connection:
            page = list(select(connection, _INVOCATIONS, values))
            is_last = len(page) < _PAGE
            if not is_last:
                values["floor"] = page[-1].invocation.id
            newest = _newest(connection)
        known = {record.invocation.id: record for record in page}
        try:
            for record in select(newest, _INVOCATIONS, values):
                other = known.get(record.invocation.id)
                known[record.invocation.id] = merge(other, record) if other else record
        finally:
            newest.close()
        return [known[key] for key in sorted(known, reverse=True)], is_last

    def _parts(self, asked: Filter, after: Place | None) -> Iterator[Segment]:
        """The segments that may hold what is asked for, in the order asked for."""
        with self._snapshot() as connection:
            lower = segment.seek(connection, asked.since_us or 0)
            upper = segment.END
            if after is not None and asked.is_newest_first:
                upper = segment.seek(connection, after.time_us + 1)
            elif after is not None:
                lower = max(lower, segment.seek(connection, after.time_us))
            if asked.invocation is not None:
                return iter(self._parts_of_invocation(connection, asked, lower, upper))
        until_us = segment.END if asked.until_us is None else asked.until_us
        return self._pages(
            segment.Range(lower, upper, until_us), is_newest_first=asked.is_newest_first
        )

    def _parts_of_invocation(
        self, connection: sqlite3.Connection, asked: Filter, lower: int, upper: int
    ) -> list[Segment]:
        """Those of its whole tree within bounds, in the order asked for."""
        row = connection.execute(
            "SELECT root FROM invocations WHERE organisation = ? AND id = ?",
            (asked.organisation, asked.invocation),
        ).fetchone()
        parts = _parts_of(connection, asked.organisation, row[0] if row else None)
        within = [part for part in parts if lower <= part.first < upper]
        return within[::-1] if asked.is_newest_first else within

    def _pages(self, within: segment.Range, *, is_newest_first: bool) -> Iterator[Segment]:
        while True:
            with self._snapshot() as connection:
                page = segment.page(connection, within, is_newest_first=is_newest_first)
            if not page:
                return
            yield from page
            within = within.beyond(page[-1], is_newest_first=is_newest_first)

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """One consistent state of the log; short, since it holds back the writer's clean-up."""
        with translated(self._path, LEDGER.noun):
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                self._connection.execute("COMMIT")


def _parts_of(connection: sqlite3.Connection, organisation: str, root: str | None) -> list[Segment]:
    """The segments of a tree in order, and the newest ones, whose trees are not yet known."""
    rows = connection.execute(
        "SELECT held.value FROM traces, json_each(traces.segments) AS held"
        "     WHERE traces.organisation = ? AND traces.root = ?"
        " UNION SELECT first FROM segments, log"
        "     WHERE first + count > projected AND first >= projected - ?"
        " ORDER BY 1",
        (organisation, root, segment.GROUP),
    ).fetchall()
    parts = (segment.containing(connection, first) for (first,) in rows)
    return [part for part in parts if part is not None]


def _newest(connection: sqlite3.Connection) -> sqlite3.Connection:
    """A log in memory that holds what is derived from the newest events alone."""
    memory = sqlite3.connect(":memory:", isolation_level=None)
    for statement in (statement for step in LEDGER.steps for statement in step):
        memory.execute(statement)
    derived.write(memory, derived.catch_up(connection))
    return memory

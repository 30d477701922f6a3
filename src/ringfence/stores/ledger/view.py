"""Read one log: its segments, and what is derived from them up to its newest event."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final, final

import msgspec

from ringfence.stores.ledger import segment
from ringfence.stores.ledger.invocation import InvocationRecord, merge
from ringfence.stores.ledger.query import Filter, InvocationFilter, Matcher, Place, Stored
from ringfence.stores.ledger.rows import InvocationPage, LogRows, catch_up
from ringfence.stores.ledger.segment import Segment
from ringfence.stores.ledger.sqlite_rows import derived_alone

_PAGE: Final = 200

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

    def __init__(self, rows: LogRows) -> None:
        """Read these rows, which are closed with the view."""
        self._rows = rows
        self._log_id = rows.log_id

    def close(self) -> None:
        """Let go of the log."""
        self._rows.close()

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
        with self._rows.snapshot():
            parts = self._rows.parts_of(organisation, root)
        for part in parts:
            if needle not in part.data:
                continue
            for sequence, leaf in enumerate(part.leaves, part.first):
                if needle in leaf and _belonging(leaf) == wanted:
                    yield Stored(leaf, Place(part.high_us, self._log_id, sequence))

    def root_of(self, organisation: str, invocation: str) -> str | None:
        """The top of its tree, if this log knows of it."""
        with self._rows.snapshot():
            return self._rows.root_of(organisation, invocation)

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
        asking = InvocationPage(
            organisation=asked.organisation, root=asked.root, before=before, floor="", most=_PAGE
        )
        with self._rows.snapshot():
            page = self._rows.invocations(asking)
            newest = catch_up(self._rows)
        is_last = len(page) < _PAGE
        if not is_last:
            asking = replace(asking, floor=page[-1].invocation.id)
        known = {record.invocation.id: record for record in page}
        for record in derived_alone(newest, asking):
            other = known.get(record.invocation.id)
            known[record.invocation.id] = merge(other, record) if other else record
        return [known[key] for key in sorted(known, reverse=True)], is_last

    def _parts(self, asked: Filter, after: Place | None) -> Iterator[Segment]:
        """The segments that may hold what is asked for, in the order asked for."""
        rows = self._rows
        with rows.snapshot():
            lower = rows.seek(asked.since_us) if asked.since_us else 1
            upper = segment.END
            if after is not None and asked.is_newest_first:
                upper = rows.seek(after.time_us + 1)
            elif after is not None:
                lower = max(lower, rows.seek(after.time_us))
            if asked.invocation is not None:
                return iter(self._parts_of_invocation(asked, asked.invocation, lower, upper))
        until_us = segment.END if asked.until_us is None else asked.until_us
        return self._pages(
            segment.Range(lower, upper, until_us), is_newest_first=asked.is_newest_first
        )

    def _parts_of_invocation(
        self, asked: Filter, invocation: str, lower: int, upper: int
    ) -> list[Segment]:
        """Those of its whole tree within bounds, in the order asked for."""
        root = self._rows.root_of(asked.organisation, invocation)
        parts = self._rows.parts_of(asked.organisation, root)
        within = [part for part in parts if lower <= part.first < upper]
        return within[::-1] if asked.is_newest_first else within

    def _pages(self, within: segment.Range, *, is_newest_first: bool) -> Iterator[Segment]:
        while True:
            with self._rows.snapshot():
                page = self._rows.page(within, is_newest_first=is_newest_first)
            if not page:
                return
            yield from page
            within = within.beyond(page[-1], is_newest_first=is_newest_first)

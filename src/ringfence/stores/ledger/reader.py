"""Read the ledger beside its writers or after them, without ever holding them up."""

import heapq
from collections.abc import Iterator
from functools import reduce
from itertools import groupby, islice
from pathlib import Path
from typing import Final, final

from ringfence.stores.ledger.invocation import InvocationRecord, merge
from ringfence.stores.ledger.query import Filter, InvocationFilter, Matcher, Stored
from ringfence.stores.ledger.rows import Logs
from ringfence.stores.ledger.sqlite_logs import SqliteLogs
from ringfence.stores.ledger.view import LogView

_MOST_ACTIONS: Final = 10_000
"""How many actions one text can stand for; of more, the newest are taken."""


@final
class LedgerReader:
    """Reads all logs of one place; used by one thread.

    Whatever is asked is asked for one organisation. All methods raise UsageError `store_damaged`,
    `schema_newer` or `schema_older`, and UnavailableError `store_unavailable`.
    """

    def __init__(self, place: Path | Logs) -> None:
        """Take where they are; a data folder stands for the files in it."""
        self._place = SqliteLogs(place) if isinstance(place, Path) else place
        self._views: dict[str, LogView] = {}

    def query(self, asked: Filter) -> Iterator[Stored]:
        """The events asked for, in the order of `Place`, newest or oldest first.

        Paging by `Stored.cursor` gives each event once, whatever is written meanwhile: newest
        first, what is written later is before the first page; oldest first, it is still to come.
        """
        matcher = Matcher(asked, self._actions(asked))
        streams = [view.events(asked, matcher) for view in self._logs()]
        events = heapq.merge(*streams, key=lambda one: one.place, reverse=asked.is_newest_first)
        return islice(events, asked.limit)

    def events_of(self, organisation: str, root: str) -> list[Stored]:
        """All events of an invocation and of everything below it, oldest first."""
        found = [one for view in self._logs() for one in view.trace(organisation, root)]
        return sorted(found, key=lambda one: one.place)

    def invocations(self, asked: InvocationFilter) -> Iterator[InvocationRecord]:
        """The invocations asked for, newest first."""
        streams = [view.invocations(asked) for view in self._logs()]
        records = heapq.merge(*streams, key=_id, reverse=True)
        whole = (reduce(merge, parts) for _, parts in groupby(records, key=_id))
        return islice(filter(asked.accepts, whole), asked.limit)

    def tree_of(self, organisation: str, invocation: str) -> dict[str, str | None]:
        """Every invocation of the tree that one belongs to, with the one that opened it."""
        roots = (view.root_of(organisation, invocation) for view in self._logs())
        root = next(filter(None, roots), invocation)
        asked = InvocationFilter(organisation=organisation, root=root)
        return {each.invocation.id: each.invocation.parent for each in self.invocations(asked)}

    def export(self, organisation: str) -> Iterator[bytes]:
        """Every event of an organisation as one line of canonical JSON, log after log."""
        for view in self._logs():
            for leaf in view.leaves(organisation):
                yield leaf + b"\n"

    def close(self) -> None:
        """Let go of everything."""
        for view in self._views.values():
            view.close()
        self._views.clear()
        self._place.close()

    def _logs(self) -> list[LogView]:
        """All logs there are by now."""
        for log_id in self._place.ids():
            if log_id not in self._views:
                self._views[log_id] = LogView(self._place.read(log_id))
        return list(self._views.values())

    def _actions(self, asked: Filter) -> frozenset[str] | None:
        """The actions that a text stands for; None if no text is asked for."""
        if asked.text is None:
            return None
        found = self._place.search(asked.organisation, asked.text, limit=_MOST_ACTIONS)
        return frozenset(found)


def _id(record: InvocationRecord) -> str:
    return record.invocation.id

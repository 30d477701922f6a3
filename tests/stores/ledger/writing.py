"""Write a log as the writer does, without its thread, and look at what is derived."""

import sqlite3
from pathlib import Path

from tests.stores.ledger.event import START_US

from ringfence.domain.event import AnyEvent, Intent, Outcome
from ringfence.protocols import canonical
from ringfence.stores.ledger.backend import Batch
from ringfence.stores.ledger.derived import commit
from ringfence.stores.ledger.projection import Projection
from ringfence.stores.ledger.query import Filter
from ringfence.stores.ledger.reader import LedgerReader
from ringfence.stores.ledger.segment import SegmentWriter

TABLES = ("traces", "pending", "accounts", "invocations")


_TRACES = """SELECT traces.organisation, traces.root, held.value
    FROM traces, json_each(traces.segments) AS held ORDER BY 1, 2, 3"""


def derived(log: sqlite3.Connection) -> dict[str, list[tuple[object, ...]]]:
    """What the derived tables say; of `traces`, however its rows are cut."""
    found = {table: log.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES}  # noqa: S608 (constants)
    return found | {"traces": log.execute(_TRACES).fetchall()}


def write(log: sqlite3.Connection, groups: list[list[AnyEvent]]) -> None:
    """As the writer does: one segment and one projection for each group."""
    segments = SegmentWriter(log)
    for group in groups:
        projection = Projection()
        first = segments.next_sequence
        for sequence, event in enumerate(group, first):
            event.log, event.sequence = "log_1", sequence
            projection.apply(event, sequence, first)
        segments.append(Batch(first, len(group), canonical.encode_lines(group), START_US, START_US))
        commit(log, projection)


def in_log(folder: Path) -> list[tuple[str, str]]:
    """The intents and outcomes of all logs in a folder, in order, each by its action."""
    reader = LedgerReader(folder)
    try:
        asked = Filter(organisation="org_a", is_newest_first=False)
        events = [one.event for one in reader.query(asked)]
    finally:
        reader.close()
    return [(type(e).__name__, e.action) for e in events if isinstance(e, Intent | Outcome)]

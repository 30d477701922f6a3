"""A journal beside one process: events that are durable here until their log can be written again.

Only a log in a shared store has one (I4). It is a file of ours on this machine, empty unless
the store was away; what it holds is in the log, too, as soon as that can be written, or at the next
start (`merge`). Bodies are not in it.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple, final

from ringfence.domain.event import AnyEvent, Intent, Outcome
from ringfence.protocols import canonical
from ringfence.stores.database import Blueprint, open_writable, transaction, translated
from ringfence.stores.ledger.backend import Backend
from ringfence.stores.ledger.draft import Drafter
from ringfence.stores.ledger.format import decode
from ringfence.stores.ledger.projection import Projection
from ringfence.stores.ledger.rows import HeldLog, LogRows, Logs
from ringfence.stores.ledger.segment import GROUP

FOLDER: Final = "journal"

_JOURNAL: Final = Blueprint(
    noun="journal",
    # `after` is the sequence that the log's next event had: what is in both stands behind it.
    steps=(
        (
            """CREATE TABLE entries (
                number INTEGER PRIMARY KEY,
                after INTEGER NOT NULL,
                leaf BLOB NOT NULL
            )""",
        ),
    ),
    synchronous="FULL",
)


class Entry(NamedTuple):
    """One event, and the sequence that the next event of the log had when it was kept."""

    after: int
    event: AnyEvent


@final
class Journal:
    """The file of one log; made when something is to be kept. For one thread at a time."""

    def __init__(self, folder: Path, log_id: str) -> None:
        """Stand under a data folder."""
        self._path = folder / FOLDER / f"{log_id}.db"
        self._connection: sqlite3.Connection | None = None

    def add(self, entries: Sequence[Entry]) -> None:
        """Keep events; durable when this returns. Raises UnavailableError, ValueError."""
        rows = [(after, canonical.encode(event)) for after, event in entries]
        with translated(self._path, _JOURNAL.noun):
            connection = self._open()
            with transaction(connection):
                connection.executemany("INSERT INTO entries (after, leaf) VALUES (?, ?)", rows)

    def read(self) -> list[Entry]:
        """Everything, in order. Raises UsageError `store_damaged`, UnavailableError."""
        if not self._path.exists():
            return []
        with translated(self._path, _JOURNAL.noun):
            query = "SELECT after, leaf FROM entries ORDER BY number"
            rows = self._open().execute(query).fetchall()
        return [Entry(after, decode(leaf)) for after, leaf in rows]

    def clear(self) -> None:
        """All of it is in the log. Raises UnavailableError."""
        if self._path.exists():
            with translated(self._path, _JOURNAL.noun):
                self._open().execute("DELETE FROM entries")

    def close(self) -> None:
        """Close the file; it is opened again when it is needed."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = open_writable(self._path, _JOURNAL)
        return self._connection


def merge(journal: Journal, held: HeldLog, logs: Logs) -> int:
    """Write into a held log what only its journal has; gives how many events that were.

    Intents come first, then outcomes whose intents have none. A crash in here leaves the rest to
    be done: what is in the log already is not written twice.
    """
    entries = journal.read()
    if not entries:
        return 0
    with held.writing() as log:
        with closing(logs.read(held.log_id)) as rows:
            known = _intents_from(rows, min(entry.after for entry in entries))
        drafter = Drafter(log.log_id, log.pending, None)
        events = [entry.event for entry in entries]
        intents = [
            event
            for event in events
            if isinstance(event, Intent) and (event.organisation, event.action) not in known
        ]
        outcomes = [event for event in events if isinstance(event, Outcome)]
        written = _append(log, drafter, intents) + _append(log, drafter, outcomes)
    journal.clear()
    return written


def _intents_from(rows: LogRows, sequence: int) -> set[tuple[str, str]]:
    """The actions whose intents stand in a log from a sequence on."""
    part = rows.containing(sequence)
    found = set()
    for each in rows.following(part.first - 1 if part is not None else sequence - 1):
        for leaf in each.leaves:
            event = decode(leaf)
            if isinstance(event, Intent):
                found.add((event.organisation, event.action))
    return found


def _append(log: Backend, drafter: Drafter, events: Sequence[AnyEvent]) -> int:
    """Outcomes that nothing waits for are left out: their actions have one."""
    written = 0
    for group in _groups(events):
        draft = drafter.draft([(event, None) for event in group], log.next_sequence)
        if not draft.events:
            continue
        log.commit(draft.batch)
        drafter.keep(draft)
        projection = Projection()
        for number, event in enumerate(draft.events, draft.batch.first):
            projection.apply(event, number, draft.batch.first)
        log.derive(projection)
        written += len(draft.events)
    return written


def _groups(events: Sequence[AnyEvent]) -> Iterable[Sequence[AnyEvent]]:
    return (events[at : at + GROUP] for at in range(0, len(events), GROUP))

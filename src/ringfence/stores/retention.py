"""Delete what an organisation no longer wants kept, a little at a time, so that the rest verifies.

Bodies go first, events with their whole group once every event in it is past its term. The hashes
of deleted events stay, and a signed list says which were deleted on purpose: before they are.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, final

import msgspec

from ringfence.analysis.span import Span
from ringfence.protocols import checkpoint, note
from ringfence.stores.body.erasure import erase
from ringfence.stores.checkpoint import SigningKeys, deletion
from ringfence.stores.checkpoint.latest import latest_notes
from ringfence.stores.database import open_writable, transaction, translated
from ringfence.stores.hold import Hold, Holds, is_held
from ringfence.stores.ledger import segment
from ringfence.stores.ledger.fence import log_ids, log_path
from ringfence.stores.ledger.schema import LEDGER
from ringfence.stores.ledger.segment import Segment

_AT_ONCE: Final = 50
"""Groups looked at in one step: some milliseconds, and no longer transaction than a commit's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """How long one organisation's bodies and events are kept, in microseconds; None for ever."""

    body_us: int | None = None
    event_us: int | None = None


@dataclass(slots=True, kw_only=True)
class Deleted:
    """What one step deleted of one organisation."""

    log: str
    bodies: int = 0
    events: list[Span] = field(default_factory=list)


class _Head(msgspec.Struct):
    """What must be known of an event to tell whether it may go."""

    organisation: str
    time_us: str
    agent: str = ""
    invocation: str = ""
    root: str = ""
    action: str = ""
    body: str = ""


_read: Final = msgspec.json.Decoder(_Head).decode


@final
class Retention:
    """Goes through all logs again and again; for one thread."""

    def __init__(self, keys: SigningKeys) -> None:
        """Take the keys of a data folder."""
        self._keys = keys

    def run(self, terms: Mapping[str, Term], now_us: int) -> Iterator[dict[str, Deleted]]:
        """One step after another over all logs; each gives what it deleted, by organisation.

        Raises UsageError `store_damaged`, UnavailableError.
        """
        holds = {each: Holds(self._keys.folder, each).all() for each in terms}
        for log_id in log_ids(self._keys.folder):
            work = _Log(self._keys, log_id, terms, holds, now_us)
            with contextlib.closing(work):
                while (deleted := work.step()) is not None:
                    yield deleted


@final
class _Log:
    """One pass over one log."""

    def __init__(
        self,
        keys: SigningKeys,
        log_id: str,
        terms: Mapping[str, Term],
        holds: Mapping[str, list[Hold]],
        now_us: int,
    ) -> None:
        self._keys, self._log_id, self._terms, self._holds = keys, log_id, terms, holds
        self._now_us = now_us
        self._path = log_path(keys.folder, log_id)
        self._connection = open_writable(self._path, LEDGER)
        self._connection.execute("PRAGMA secure_delete = ON")
        self._after = 0
        self._safe = self._last_deletable()
        kept = [term.event_us for term in terms.values() if term.event_us is not None]
        kept += [term.body_us for term in terms.values() if term.body_us is not None]
        self._until_us = now_us - min(kept) if kept else 0

    def close(self) -> None:
        self._connection.close()

    def step(self) -> dict[str, Deleted] | None:
        """Look at some groups; None at the end of what is old enough for anything."""
        with translated(self._path, LEDGER.noun):
            parts = segment.page(
                self._connection,
                segment.Range(lower=self._after + 1, until_us=self._until_us),
                is_newest_first=False,
            )[:_AT_ONCE]
        if not parts:
            return None
        self._after = parts[-1].first
        deleted: dict[str, Deleted] = {}
        going: list[Segment] = []
        for part in parts:
            heads = [_read(leaf) for leaf in part.leaves]
            may_go = part.first + part.count - 1 <= self._safe and all(map(self._is_over, heads))
            self._erase(heads, deleted)
            if may_go:
                going.append(part)
                for organisation in {head.organisation for head in heads}:
                    self._of(deleted, organisation).events.append(
                        Span(part.first, part.first + part.count - 1)
                    )
        self._delete(going)
        return deleted

    def _of(self, deleted: dict[str, Deleted], organisation: str) -> Deleted:
        return deleted.setdefault(organisation, Deleted(log=self._log_id))

    def _is_held(self, head: _Head) -> bool:
        held = self._holds.get(head.organisation, [])
        return is_held(held, agent=head.agent, invocation=head.invocation, root=head.root)

    def _is_over(self, head: _Head) -> bool:
        term = self._terms.get(head.organisation)
        if term is None or term.event_us is None or self._is_held(head):
            return False
        return int(head.time_us) < self._now_us - term.event_us

    def _erase(self, heads: list[_Head], deleted: dict[str, Deleted]) -> None:
        """Erase the bodies that are past their term, or whose events are."""
        actions: dict[str, dict[str, None]] = {}
        for head in heads:
            term = self._terms.get(head.organisation)
            if term is None or not head.body or self._is_held(head):
                continue
            kept = [each for each in (term.body_us, term.event_us) if each is not None]
            if kept and int(head.time_us) < self._now_us - min(kept):
                actions.setdefault(head.organisation, {})[head.action] = None
        for organisation, some in actions.items():
            erased = erase(self._keys.folder, organisation, list(some))
            if erased:
                self._of(deleted, organisation).bodies += erased

    def _delete(self, going: list[Segment]) -> None:
        if not going:
            return
        spans = [Span(part.first, part.first + part.count - 1) for part in going]
        deletion.add(self._keys.folder, self._log_id, spans, self._keys.current())
        with translated(self._path, LEDGER.noun), transaction(self._connection):
            self._connection.executemany(
                "DELETE FROM segments WHERE first = ?", ((part.first,) for part in going)
            )

    def _last_deletable(self) -> int:
        """Up to where events are covered, derived from and concluded; never the newest group."""
        signed = latest_notes(self._keys.folder).get(self._log_id)
        size = checkpoint.parse(note.parse(signed).text).size if signed is not None else 0
        with translated(self._path, LEDGER.noun):
            return min(size, *_bounds(self._connection))


def _bounds(connection: sqlite3.Connection) -> tuple[int, int, int]:
    """What is derived; what comes before the oldest open intent; what before the newest group."""
    derived, open_, newest = connection.execute(
        "SELECT projected, (SELECT min(sequence) - 1 FROM pending),"
        " (SELECT max(first) - 1 FROM segments) FROM log"
    ).fetchone()
    return derived, segment.END if open_ is None else open_, newest or 0

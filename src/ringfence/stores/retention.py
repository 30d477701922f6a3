"""Delete what an organisation no longer wants kept, a little at a time, so that the rest verifies.

Bodies go first, events with their whole group once every event in it is past its term. The hashes
of deleted events stay, and a signed list says which were deleted on purpose: before they are.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Final, NamedTuple, Protocol, final

import msgspec

from ringfence.analysis.span import Span
from ringfence.protocols import checkpoint, note
from ringfence.stores.body.place import Shelves
from ringfence.stores.checkpoint import SigningKeys, deletion
from ringfence.stores.checkpoint.latest import latest_notes
from ringfence.stores.hold import Hold, Holds, is_held, widened
from ringfence.stores.ledger import segment
from ringfence.stores.ledger.reader import LedgerReader
from ringfence.stores.ledger.rows import LogRows, Logs
from ringfence.stores.ledger.segment import Segment

_OPENED: Final = "invocation.opened"
_AT_ONCE: Final = 50
"""Groups looked at in one step: some milliseconds, and no longer transaction than a commit's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """How long one organisation's bodies and events are kept, in microseconds; None for ever."""

    body_us: int | None = None
    event_us: int | None = None

    @property
    def shortest_us(self) -> int | None:
        """How long what was said is kept: it goes with its event, too."""
        kept = (self.body_us, self.event_us)
        return min((each for each in kept if each is not None), default=None)


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
    subject: str = ""
    body: str = ""
    what: str = ""
    detail: dict[str, str] = {}

    @property
    def about(self) -> str:
        """What the event is about; under this its body is stored."""
        return self.action or self.subject

    @property
    def whose(self) -> str:
        """The agent's id; the change that opens an invocation names it among its details."""
        return self.agent or self.detail.get("agent", "")


_read: Final = msgspec.json.Decoder(_Head).decode


@final
class _Rules:
    """What is past its term at one moment, and not held."""

    def __init__(
        self,
        terms: Mapping[str, Term],
        holds: Callable[[str], Holds],
        now_us: int,
        tree_of: Callable[[str, str], Mapping[str, str | None]],
    ) -> None:
        self._terms, self._now_us = terms, now_us
        self._tree_of = tree_of
        self._trees: dict[tuple[str, str], Mapping[str, str | None]] = {}
        self._places = {each: holds(each) for each in terms}
        self._holds: Mapping[str, list[Hold]] = {}
        self.look()

    def look(self) -> None:
        """Take what is held now: a pass over a long record may take hours."""
        self._holds = {
            each: widened(place.all(), partial(self._tree, each))
            for each, place in self._places.items()
        }

    @contextmanager
    def still(self, heads: Iterable[_Head]) -> Iterator[None]:
        """Look anew; while it lasts nothing that is about to go begins to be held."""
        going = {each.organisation for each in heads if self._is_body_past(each)}
        with ExitStack() as stack:
            for organisation in sorted(going):
                stack.enter_context(self._places[organisation].still())
            self.look()
            yield

    def _tree(self, organisation: str, invocation: str) -> Mapping[str, str | None]:
        """Looked up once in a pass: what is old enough to go was opened long before it."""
        key = (organisation, invocation)
        if key not in self._trees:
            self._trees[key] = self._tree_of(organisation, invocation)
        return self._trees[key]

    @property
    def stated(self) -> object:
        """What is kept and held; while it is the same, what was once found over stays so."""
        return dict(self._terms), dict(self._holds)

    def events_until_us(self) -> int:
        """From when on no event is old enough to go."""
        return self._until_us(term.event_us for term in self._terms.values())

    def until_us(self) -> int:
        """From when on nothing is old enough for anything."""
        terms = self._terms.values()
        return self._until_us(each for term in terms for each in (term.event_us, term.body_us))

    def _until_us(self, kept: Iterable[int | None]) -> int:
        known = [each for each in kept if each is not None]
        return self._now_us - min(known) if known else 0

    def is_over(self, head: _Head) -> bool:
        """Whether an event may go."""
        term = self._terms.get(head.organisation)
        if term is None or term.event_us is None or self._is_held(head):
            return False
        return int(head.time_us) < self._now_us - term.event_us

    def is_body_over(self, head: _Head) -> bool:
        """Whether its body may go: it goes with its event, too."""
        return self._is_body_past(head) and not self._is_held(head)

    def is_body_settled(self, head: _Head) -> bool:
        """Whether nothing need be done for its body as long as terms and holds stay the same."""
        term = self._terms.get(head.organisation)
        is_kept = term is None or (term.body_us is None and term.event_us is None)
        return not head.body or is_kept or self._is_body_past(head)

    def _is_body_past(self, head: _Head) -> bool:
        term = self._terms.get(head.organisation)
        shortest = term.shortest_us if term is not None else None
        return shortest is not None and int(head.time_us) < self._now_us - shortest

    def _is_held(self, head: _Head) -> bool:
        held = self._holds.get(head.organisation, [])
        return is_held(held, agent=head.whose, invocation=head.invocation, root=head.root)


class Place(Protocol):
    """Where everything is kept; what is opened is closed by whoever opened it."""

    def logs(self) -> Logs:
        """The ledger."""

    def shelves(self) -> Shelves:
        """The bodies."""

    def holds(self, organisation: str) -> Holds:
        """What must not be deleted of an organisation."""

    def owns(self, log_id: str) -> bool:
        """Whether events may be deleted from a log: no other data folder vouches for it."""


class _Looked(NamedTuple):
    """How far the bodies of a log are settled, under what was stated then."""

    stated: object
    through: int


@final
class Retention:
    """Goes through all logs again and again; for one thread at a time.

    Bodies are usually kept for a shorter time than events. Where they were erased is remembered, so
    that a pass does not read all events again whose bodies have gone.
    """

    def __init__(self, keys: SigningKeys, place: Place) -> None:
        """Take the keys of a data folder, which sign what is deleted, and where everything is."""
        self._keys = keys
        self._place = place
        self._looked: dict[str, _Looked] = {}

    def run(self, terms: Mapping[str, Term], now_us: int) -> Iterator[dict[str, Deleted]]:
        """One step after another over all logs; each gives what it deleted, by organisation.

        Raises UsageError `store_damaged`, UnavailableError.
        """
        with (
            closing(self._place.logs()) as logs,
            closing(self._place.shelves()) as shelves,
            closing(LedgerReader(self._place.logs())) as reader,
        ):
            rules = _Rules(terms, self._place.holds, now_us, reader.tree_of)
            for log_id in logs.ids():
                with closing(logs.read(log_id)) as rows:
                    safe = self._last_deletable(rows) if self._place.owns(log_id) else 0
                    work = _Log(self._keys, logs, shelves, rules=rules, rows=rows, safe=safe)
                    looked = self._looked.get(log_id)
                    if looked is not None and looked.stated == work.stated:
                        work.settled = looked.through
                    while (deleted := work.step()) is not None:
                        yield deleted
                    self._looked[log_id] = _Looked(work.stated, work.settled)

    def _last_deletable(self, rows: LogRows) -> int:
        """Up to where events are covered, derived from and concluded; never the newest group."""
        signed = latest_notes(self._keys.folder).get(rows.log_id)
        size = checkpoint.parse(note.parse(signed).text).size if signed is not None else 0
        newest = rows.containing(rows.next_sequence() - 1)
        open_ = min(rows.unended(), default=segment.END)
        return min(size, rows.projected(), open_ - 1, newest.first - 1 if newest else 0)


@final
class _Log:
    """One pass over one log."""

    def __init__(  # noqa: PLR0913 (made in one place)
        self,
        keys: SigningKeys,
        logs: Logs,
        shelves: Shelves,
        *,
        rules: _Rules,
        rows: LogRows,
        safe: int,
    ) -> None:
        self._keys, self._logs, self._shelves = keys, logs, shelves
        self._rules, self._rows, self._safe = rules, rows, safe
        self._after = 0
        self.stated = rules.stated
        self.settled = 0
        """Up to this group nothing need be done for any body."""
        self._is_settling = True

    def step(self) -> dict[str, Deleted] | None:
        """Look at some groups; None at the end of what is old enough for anything."""
        parts = self._next()
        if not parts:
            return None
        read = [(part, [_read(leaf) for leaf in part.leaves]) for part in parts]
        with self._rules.still(chain.from_iterable(heads for _, heads in read)):
            return self._go(read)

    def _go(self, read: list[tuple[Segment, list[_Head]]]) -> dict[str, Deleted]:
        """Delete what is over by the holds of this moment."""
        # What was spared for a hold of this moment must be looked at again.
        self._is_settling = self._is_settling and self._rules.stated == self.stated
        deleted: dict[str, Deleted] = {}
        going: list[Segment] = []
        told: list[tuple[str, str]] = []
        self._erase([head for _, heads in read for head in heads], deleted)
        for part, heads in read:
            self._settle(part, heads)
            if part.first + part.count - 1 <= self._safe and all(map(self._rules.is_over, heads)):
                going.append(part)
                told += [
                    (each.organisation, each.invocation) for each in heads if each.what == _OPENED
                ]
                for organisation in {head.organisation for head in heads}:
                    self._of(deleted, organisation).events.append(
                        Span(part.first, part.first + part.count - 1)
                    )
        self._delete(going, told)
        return deleted

    def _next(self) -> list[Segment]:
        """First groups whose events may be past their term, then those with bodies that may be."""
        rules = self._rules
        for after, until_us in (
            (self._after, rules.events_until_us()),
            (max(self._after, self.settled), rules.until_us()),
        ):
            asked = segment.Range(lower=after + 1, until_us=until_us)
            parts = self._rows.page(asked, is_newest_first=False)[:_AT_ONCE]
            if parts:
                self._after = parts[-1].first
                return parts
        return []

    def _settle(self, part: Segment, heads: list[_Head]) -> None:
        """Remember that a group needs no second look, if no group before it does."""
        if self._is_settling and part.first > self.settled:
            self._is_settling = all(map(self._rules.is_body_settled, heads))
            if self._is_settling:
                self.settled = part.first

    def _of(self, deleted: dict[str, Deleted], organisation: str) -> Deleted:
        return deleted.setdefault(organisation, Deleted(log=self._rows.log_id))

    def _erase(self, heads: list[_Head], deleted: dict[str, Deleted]) -> None:
        """Erase the bodies that are past their term, or whose events are."""
        actions: dict[str, dict[str, None]] = {}
        for head in heads:
            if head.body and self._rules.is_body_over(head):
                actions.setdefault(head.organisation, {})[head.about] = None
        for organisation, some in actions.items():
            erased = self._shelves.erase(organisation, list(some))
            if erased:
                self._of(deleted, organisation).bodies += erased

    def _delete(self, going: list[Segment], told: list[tuple[str, str]]) -> None:
        if not going:
            return
        spans = [Span(part.first, part.first + part.count - 1) for part in going]
        deletion.add(self._keys.folder, self._rows.log_id, spans, self._keys.current())
        self._logs.delete(self._rows.log_id, [part.first for part in going], told)

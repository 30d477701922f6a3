"""Turn events into leaves: number them, commit to their bodies, encode them."""

from collections.abc import Iterable
from typing import Final, final

from ringfence.domain.error import UnavailableError
from ringfence.domain.event import AnyEvent, Intent, Observation, Outcome, spoken_in
from ringfence.protocols import canonical
from ringfence.stores.body import Body, BodyStore, Part
from ringfence.stores.body.shelf import Entry
from ringfence.stores.body.store import committed
from ringfence.stores.ledger.backend import Batch

_REQUEST: Final = Part.REQUEST
_RESPONSE: Final = Part.RESPONSE
Key = tuple[str, str]
"""Organisation and action."""


@final
class Draft:
    """A group of events, ready to be written.

    `bodies` stand beside their events, None where there is none to store. `refused` holds the
    events that cannot be written, with why; they are in no other list.
    """

    __slots__ = ("batch", "bodies", "closed", "events", "opened", "refused")

    def __init__(self, first: int) -> None:
        """Nothing is drafted yet; the first event gets that number."""
        self.batch = Batch(first, 0, b"", 0, 0)
        self.events: list[AnyEvent] = []
        self.bodies: list[Entry | None] = []
        self.opened: set[Key] = set()
        self.closed: list[Key] = []
        self.refused: list[tuple[AnyEvent, UnavailableError]] = []


@final
class Drafter:
    """Knows the intents without outcome, so that each gets exactly one.

    INVARIANT: only the writer of the log drafts, so that nobody else can close an intent.
    """

    def __init__(self, log_id: str, pending: Iterable[Key], bodies: BodyStore | None) -> None:
        """Begin with the (organisation, action) pairs that the log left open."""
        self._log_id = log_id
        self._pending = set(pending)
        self._bodies = bodies

    def draft(self, items: Iterable[tuple[AnyEvent, Body | None]], first: int) -> Draft:
        """Number events from `first` and encode them; then call `keep` or `undo`."""
        draft = Draft(first)
        for event, body in items:
            try:
                self._add(draft, event, body)
            except (ValueError, TypeError) as error:
                draft.refused.append((event, _unwritable(event, error)))
        data = self._encode(draft)
        if draft.events:
            times = [int(event.time_us) for event in draft.events]
            draft.batch = Batch(first, len(draft.events), data, min(times), max(times))
        return draft

    def keep(self, draft: Draft) -> None:
        """The draft is durable."""
        self._pending |= draft.opened
        if self._bodies is not None:
            entries = [entry for entry in draft.bodies if entry is not None]
            if entries:
                self._bodies.put(entries)

    def undo(self, draft: Draft) -> None:
        """The draft was not written; its events may be drafted again."""
        self._pending.update(draft.closed)
        self._drop(draft.bodies)

    def _add(self, draft: Draft, event: AnyEvent, body: Body | None) -> None:
        """Take an event into a draft. Raises ValueError or TypeError with nothing changed."""
        # By its exact type: to be told that a struct is another kind costs more than the rest.
        if type(event) is Outcome:
            key = (event.organisation, event.action)
            if key not in self._pending:
                raise ValueError("no intent waits for it")
            entry = None if body is None else self._commit_to(event, _RESPONSE, body)
            self._pending.remove(key)
            draft.closed.append(key)
        elif type(event) is Intent:
            key = (event.organisation, event.action)
            if key in self._pending or key in draft.opened:
                raise ValueError("it was written before")
            entry = None if body is None else self._commit_to(event, _REQUEST, body)
            draft.opened.add(key)
        else:
            entry = None if body is None else self._commit_to(event, _REQUEST, body)
        event.log = self._log_id
        event.sequence = draft.batch.first + len(draft.events)
        draft.events.append(event)
        draft.bodies.append(entry)

    def _encode(self, draft: Draft) -> bytes:
        """All leaves of a draft; an event that has no canonical form is refused by itself."""
        try:
            return canonical.encode_lines(draft.events)
        except (ValueError, TypeError):
            return self._encode_one_by_one(draft)

    def _encode_one_by_one(self, draft: Draft) -> bytes:
        events, bodies, first = draft.events, draft.bodies, draft.batch.first
        draft.events, draft.bodies = [], []
        leaves: list[bytes] = []
        for event, entry in zip(events, bodies, strict=True):
            event.sequence = first + len(leaves)
            try:
                leaves.append(canonical.encode(event))
            except (ValueError, TypeError) as error:
                draft.refused.append((event, _unwritable(event, error)))
                self._take_out(draft, event)
                self._drop([entry])
            else:
                draft.events.append(event)
                draft.bodies.append(entry)
        return b"\n".join(leaves)

    def _take_out(self, draft: Draft, event: AnyEvent) -> None:
        """An event that was taken in is not written after all."""
        if isinstance(event, Intent):
            draft.opened.discard((event.organisation, event.action))
        elif isinstance(event, Outcome):
            key = (event.organisation, event.action)
            draft.closed.remove(key)
            self._pending.add(key)

    def _commit_to(self, event: AnyEvent, part: Part, body: Body) -> Entry | None:
        """Put the commitment to a body into its event, if the body will be stored."""
        if isinstance(event, Intent | Outcome | Observation):
            event.body_bytes = len(body.whole)
        entry = None
        if self._bodies is not None:
            said = spoken_in(event)
            entry = self._bodies.admit(event.organisation, said, part, event.invocation, body)
        event.body = committed(entry) if entry is not None else ""
        return entry

    def _drop(self, bodies: Iterable[Entry | None]) -> None:
        entries = [entry for entry in bodies if entry is not None]
        if self._bodies is not None and entries:
            self._bodies.drop(entries)


def _unwritable(event: AnyEvent, why: Exception) -> UnavailableError:
    kind = type(event).__name__.lower()
    return UnavailableError("store_unavailable", f"this {kind} cannot be written: {why}")

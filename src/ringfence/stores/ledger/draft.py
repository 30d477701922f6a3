"""Turn events into leaves: number them, commit to their bodies, encode them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import final

from ringfence.domain.error import UnavailableError
from ringfence.domain.event import AnyEvent, Change, Intent, Outcome
from ringfence.protocols import canonical
from ringfence.stores.body import Body, BodyStore, Part
from ringfence.stores.body.shelf import Entry
from ringfence.stores.body.store import committed


@dataclass(slots=True)
class Draft:
    """A group of events, ready to be written.

    `refused` holds the events that cannot be written, with why; they are in no other list.
    """

    events: list[AnyEvent] = field(default_factory=list)
    leaves: list[bytes] = field(default_factory=list)
    bodies: list[Entry] = field(default_factory=list)
    closed: list[tuple[str, str]] = field(default_factory=list)
    refused: list[tuple[AnyEvent, UnavailableError]] = field(default_factory=list)
    low_us: int = 0
    high_us: int = 0


@final
class Drafter:
    """Knows the intents without outcome, so that each gets exactly one.

    INVARIANT: only the writer of the log drafts, so that nobody else can close an intent.
    """

    def __init__(
        self, log_id: str, pending: Iterable[tuple[str, str]], bodies: BodyStore | None
    ) -> None:
        """Begin with the (organisation, action) pairs that the log left open."""
        self._log_id = log_id
        self._pending = set(pending)
        self._bodies = bodies

    def draft(self, items: Iterable[tuple[AnyEvent, Body | None]], first: int) -> Draft:
        """Number events from `first` and encode them; then call `keep` or `undo`."""
        draft = Draft()
        for event, body in items:
            event.log = self._log_id
            event.sequence = first + len(draft.leaves)
            try:
                self._check(event)
                entry = self._commit_to(event, body) if body is not None else None
                leaf = canonical.encode(event)
            except (ValueError, TypeError) as error:
                draft.refused.append((event, _unwritable(event, str(error))))
                continue
            if entry is not None:
                draft.bodies.append(entry)
            draft.events.append(event)
            draft.leaves.append(leaf)
            if isinstance(event, Outcome):
                key = (event.organisation, event.action)
                self._pending.remove(key)
                draft.closed.append(key)
        times = [int(event.time_us) for event in draft.events]
        if times:
            draft.low_us, draft.high_us = min(times), max(times)
        return draft

    def keep(self, draft: Draft) -> None:
        """The draft is durable."""
        for event in draft.events:
            if isinstance(event, Intent):
                self._pending.add((event.organisation, event.action))
        if self._bodies is not None and draft.bodies:
            self._bodies.put(draft.bodies)

    def undo(self, draft: Draft) -> None:
        """The draft was not written; its events may be drafted again."""
        self._pending.update(draft.closed)
        if self._bodies is not None and draft.bodies:
            self._bodies.drop(draft.bodies)

    def _check(self, event: AnyEvent) -> None:
        if isinstance(event, Intent | Outcome):
            is_pending = (event.organisation, event.action) in self._pending
            if is_pending is isinstance(event, Intent):
                raise ValueError(
                    "it was written before" if is_pending else "no intent waits for it"
                )

    def _commit_to(self, event: AnyEvent, body: Body) -> Entry | None:
        """Put the commitment to a body into its event, if the body will be stored."""
        if isinstance(event, Change):
            raise TypeError("a change has no body")
        if isinstance(event, Intent | Outcome):
            event.body_bytes = len(body.whole)
        part = Part.RESPONSE if isinstance(event, Outcome) else Part.REQUEST
        entry = None
        if self._bodies is not None:
            entry = self._bodies.admit(
                event.organisation, event.action, part, event.invocation, body
            )
        event.body = committed(entry) if entry is not None else ""
        return entry


def _unwritable(event: AnyEvent, why: str) -> UnavailableError:
    kind = type(event).__name__.lower()
    return UnavailableError("store_unavailable", f"this {kind} cannot be written: {why}")

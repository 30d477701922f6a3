"""What the newest calls of a log have shown, for a plane that starts.

Both readings are bounded, so that a start takes as long for a large log as for a small one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ringfence.decisions import input_bound
from ringfence.decisions.input_bound import Evidence
from ringfence.domain.event import AnyEvent, Intent, Outcome
from ringfence.domain.model import Dialect
from ringfence.stores.ledger.format import decode
from ringfence.stores.ledger.rows import LogRows
from ringfence.stores.ledger.segment import Range, Segment

_COUNTED_EVENTS: Final = 10_000
_SEARCHED_EVENTS: Final = 100_000
_MOST_OBJECTS: Final = 10_000

_ABOUT_OBJECTS: Final = (b'"operation":"responses"', b'"provider_object":"')
"""One of these stands in every leaf that tells of an object, intents and outcomes alike."""


@dataclass(frozen=True, slots=True)
class ProviderObject:
    """Something a provider keeps: made by `agent` at `time_us`, bringing so many input tokens."""

    organisation: str
    agent: str
    name: str
    tokens: int
    time_us: int


def read_evidence(rows: LogRows, evidence: dict[tuple[str, str], Evidence]) -> None:
    """Learn from the newest calls what bodies amount to, as it was learned when they ended.

    A call that another model answered than the first of its route teaches nothing here.
    """
    intents: dict[tuple[str, str], Intent] = {}
    for event in _newest(rows):
        if isinstance(event, Intent):
            intents[event.organisation, event.action] = event
        elif isinstance(event, Outcome):
            intent = intents.pop((event.organisation, event.action), None)
            if intent is not None:
                _learn(intent, event, evidence)


def _learn(intent: Intent, outcome: Outcome, evidence: dict[tuple[str, str], Evidence]) -> None:
    usage, last = outcome.usage, outcome.attempts[-1] if outcome.attempts else None
    if usage is None or usage.estimated or intent.beyond_text or not intent.body_bytes:
        return
    if last is not None and (last.provider, last.upstream) != (intent.provider, intent.upstream):
        return
    key = (intent.organisation, intent.resource)
    seen = evidence.get(key, Evidence())
    evidence[key] = input_bound.learn(seen, intent.body_bytes, usage.input_tokens)


def _newest(rows: LogRows) -> Iterator[AnyEvent]:
    last = rows.next_sequence()
    for part in rows.following(max(0, last - _COUNTED_EVENTS)):
        yield from map(decode, part.leaves)


def read_objects(rows: LogRows) -> list[ProviderObject]:
    """The newest objects that providers keep of Responses calls, newest first."""
    made: dict[tuple[str, str], ProviderObject] = {}
    found: list[ProviderObject] = []
    for part in _newest_segments(rows):
        if not any(needle in part.data for needle in _ABOUT_OBJECTS):
            continue
        for leaf in reversed(part.leaves):
            if not any(needle in leaf for needle in _ABOUT_OBJECTS):
                continue
            event = decode(leaf)
            if isinstance(event, Outcome) and event.provider_object:
                _note(event, made)
            elif isinstance(event, Intent) and event.operation == Dialect.RESPONSES:
                one = made.pop((event.organisation, event.action), None)
                if one is not None:
                    found.append(one)
        if len(found) >= _MOST_OBJECTS or len(made) >= _MOST_OBJECTS:
            break
    return found[:_MOST_OBJECTS]


def _note(outcome: Outcome, made: dict[tuple[str, str], ProviderObject]) -> None:
    usage = outcome.usage
    if usage is not None and not usage.estimated:
        made[outcome.organisation, outcome.action] = ProviderObject(
            outcome.organisation,
            outcome.agent,
            outcome.provider_object,
            usage.input_tokens + usage.output_tokens,
            int(outcome.time_us),
        )


def _newest_segments(rows: LogRows) -> Iterator[Segment]:
    last = rows.next_sequence()
    within = Range(lower=max(0, last - _SEARCHED_EVENTS))
    while page := rows.page(within, is_newest_first=True):
        yield from page
        within = within.beyond(page[-1], is_newest_first=True)

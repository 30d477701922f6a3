"""What a tree of runs has read, and what is in doubt in it, read back from its events."""

from typing import NamedTuple

from ringfence.domain.event import FINDING, Change, Intent, Outcome
from ringfence.stores.ledger.format import decode
from ringfence.stores.ledger.reader import LedgerReader


class Marks(NamedTuple):
    """Labels of the results that anybody in the tree was given, and by action what is in doubt."""

    seen: tuple[str, ...]
    doubts: tuple[tuple[str, str], ...]


def marks(reader: LedgerReader, organisation: str, root: str) -> Marks:
    """Doubts end with the first action that a person has approved after them."""
    seen: set[str] = set()
    doubts: dict[str, str] = {}
    for stored in reader.events_of(organisation, root):
        event = decode(stored.leaf)
        if isinstance(event, Outcome):
            seen.update(event.labels)
        elif isinstance(event, Intent) and event.approval:
            doubts.clear()
        elif isinstance(event, Change) and event.what == f"{FINDING}postcondition":
            detail = event.detail
            tool, told = detail.get("tool", ""), detail.get("told", "")
            doubts[detail.get("action", "")] = f"after `{tool}`: {told}"
    return Marks(tuple(sorted(seen)), tuple(doubts.items()))

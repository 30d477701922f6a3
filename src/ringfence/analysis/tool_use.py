"""How agents use a tool, from the calls on the record."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

_ARGUMENTS = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Use(NamedTuple):
    """One call: who made it, of which tool, and its arguments as bytes; None if none are stored."""

    agent: str
    tool: str
    arguments: bytes | None


def usage(calls: Iterable[Use]) -> dict[str, dict[str, dict[str, int]]]:
    """By tool and agent: how often each top-level argument was sent; the empty name counts calls.

    A call whose arguments are not stored, or are no object, counts as a call alone.
    """
    found: dict[str, dict[str, dict[str, int]]] = {}
    for call in calls:
        sent = found.setdefault(call.tool, {}).setdefault(call.agent, {"": 0})
        sent[""] += 1
        for name in _names(call.arguments):
            sent[name] = sent.get(name, 0) + 1
    return found


def _names(arguments: bytes | None) -> Iterable[str]:
    if not arguments:
        return ()
    try:
        members: Mapping[str, object] = _ARGUMENTS.decode(arguments)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ()
    return members.keys()

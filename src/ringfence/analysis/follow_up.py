"""Calls that follow from a call: their arguments, and what their results must say."""

import re
from typing import Any, Final

import msgspec

from ringfence.domain.tool_rule import FollowUp, Postcondition

_STEP: Final = re.compile(r"\.?([A-Za-z0-9_-]+)|\[([0-9]{1,4})\]")
_SHOWN_CHARACTERS: Final = 80


class Missing(msgspec.Struct, frozen=True):
    """A path that leads nowhere in what a call was asked and answered."""

    path: str


def arguments(follow_up: FollowUp, asked: bytes, document: bytes) -> bytes | Missing:
    """The arguments of the follow-up of a call with these arguments and this result, as JSON."""
    try:
        call = {"arguments": msgspec.json.decode(asked), "result": msgspec.json.decode(document)}
    except (msgspec.DecodeError, RecursionError):
        return Missing("$.result")
    found: dict[str, msgspec.Raw] = {}
    for name, text in follow_up.arguments:
        value = msgspec.json.decode(text)
        if isinstance(value, str) and value.startswith("$."):
            try:
                value = _at(call, value[2:])
            except LookupError:
                return Missing(value)
        found[name] = msgspec.Raw(msgspec.json.encode(value))
    return msgspec.json.encode(found)


def mismatches(rule: Postcondition, document: bytes) -> tuple[str, ...]:
    """What is not as it must be, each in one clause."""
    try:
        state = msgspec.json.decode(document)
    except (msgspec.DecodeError, RecursionError):
        return ("the check's answer cannot be read",)
    found = []
    for path, text in rule.expect:
        wanted = msgspec.json.decode(text)
        try:
            value = _at(state, path)
        except LookupError:
            found.append(f"`{path}` is missing and must be {_shown(wanted)}")
            continue
        if not _same(value, wanted):
            found.append(f"`{path}` is {_shown(value)} and must be {_shown(wanted)}")
    return tuple(found)


def _at(value: Any, path: str) -> Any:  # noqa: ANN401 (any JSON)
    """What a path leads to. Raises LookupError."""
    at = 0
    while at < len(path):
        step = _STEP.match(path, at)
        if step is None:
            raise LookupError(path)
        at = step.end()
        name, index = step[1], step[2]
        if index is not None and isinstance(value, list):
            value = value[int(index)]
        elif name is not None and isinstance(value, dict):
            value = value[name]
        else:
            raise LookupError(path)
    return value


def _same(value: object, wanted: object) -> bool:
    """Equal as JSON is: true is not 1."""
    return value == wanted and isinstance(value, bool) == isinstance(wanted, bool)


def _shown(value: object) -> str:
    text = msgspec.json.encode(value).decode("utf-8", "replace")
    return f"{text[:_SHOWN_CHARACTERS]}…" if len(text) > _SHOWN_CHARACTERS else text

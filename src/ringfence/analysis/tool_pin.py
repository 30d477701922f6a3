"""Pins: a digest of everything that a tool says of itself."""

import hashlib
import json
from typing import Final

from ringfence.domain.tool import ToolDefinition

_NAMING: Final = frozenset({"name", "title"})


def canonical(value: object) -> bytes:
    """One byte form of a JSON value, whatever the order and spacing it came in.

    Raises ValueError for NaN, Infinity and lone surrogates.
    """
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def pin_of(definition: ToolDefinition) -> str:
    """`sha256:…` over the whole definition: a field that nobody here knows counts too."""
    return _digest(_members(definition))


def content_of(definition: ToolDefinition) -> str:
    """The same without the names, by which a renamed tool is found again."""
    members = _members(definition)
    annotations = members.get("annotations")
    if isinstance(annotations, dict):
        members["annotations"] = {k: v for k, v in annotations.items() if k != "title"}
    return _digest({key: value for key, value in members.items() if key not in _NAMING})


def _members(definition: ToolDefinition) -> dict[str, object]:
    members = json.loads(definition.raw)
    if not isinstance(members, dict):
        raise TypeError("a tool is defined by an object")
    return members


def _digest(value: object) -> str:
    return "sha256:" + hashlib.sha256(canonical(value)).hexdigest()

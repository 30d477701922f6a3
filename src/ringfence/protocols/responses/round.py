"""Rounds of the items of a Responses request, and where a hint can be added to the last result."""

from collections.abc import Sequence
from typing import Final

import msgspec

from ringfence.protocols import hint, strict_json
from ringfence.protocols.responses.answer import CLIENT_CALLS
from ringfence.protocols.round import Found, Rounds, decoded, shows
from ringfence.protocols.strict_json import Edit, Span

_NOTHING: Final = msgspec.Raw()
_NAMED: Final = frozenset({"function_call", "custom_tool_call"})
_HINTED: Final = frozenset({b'"function_call_output"', b'"custom_tool_call_output"'})
"""Results that are a text or a list of texts; a shell's and a screen's have a form of their own."""


class _Item(msgspec.Struct):
    type: str = ""
    role: str = ""
    name: str = ""
    arguments: msgspec.Raw = _NOTHING
    input: msgspec.Raw = _NOTHING
    action: msgspec.Raw = _NOTHING
    operation: msgspec.Raw = _NOTHING
    output: msgspec.Raw = _NOTHING
    call_id: str | None = None


_ITEM: Final = msgspec.json.Decoder(_Item)


def is_result(message: bytes) -> bool:
    """Whether an item may be a tool's result; quick."""
    return shows(message, b'_output"')


def read(messages: Sequence[bytes], start: int) -> Found:
    """Read the rounds from `start` on.

    Where earlier items are kept by the provider (`previous_response_id`), their calls are not in
    the body, and their results are left out.
    """
    found = Rounds()
    for place in range(start, len(messages)):
        item = decoded(_ITEM, messages[place])
        if item is None:
            continue
        kind = item.type
        if kind in _NAMED:
            found.call(place, item.name, bytes(item.arguments) or bytes(item.input), _id(item))
        elif kind in CLIENT_CALLS:
            asked = bytes(item.action) or bytes(item.operation)
            found.call(place, CLIENT_CALLS[kind], asked, _id(item))
        elif kind.endswith("_output"):
            found.result(bytes(item.output), _id(item))
        elif item.role == "user":
            found.said()
    return found.found(len(messages))


def hint_edits(body: bytes, span: Span, text: str) -> list[Edit]:
    """Add a text to the result that stands there; nothing if it is none, or none that takes text.

    Raises PeerError `request_malformed` if the item can be read in more than one way.
    """
    if body[span[0] : span[0] + 1] != b"{":
        return []  # the input is one plain text
    members = strict_json.spans_within(body, *span)
    if "type" not in members or body[slice(*members["type"])] not in _HINTED:
        return []
    return hint.content_edits(body, span[0], members, "output", "input_text", text)


def _id(item: _Item) -> str:
    return item.call_id or ""

"""Rounds of a chat conversation, and where a hint can be added to its last result."""

from collections.abc import Sequence
from typing import Final

import msgspec

from ringfence.protocols import hint, strict_json
from ringfence.protocols.round import Found, Rounds, decoded, shows
from ringfence.protocols.strict_json import Edit, Span

_NOTHING: Final = msgspec.Raw()
_TOOLS: Final = frozenset({"tool", "function"})


class _Body(msgspec.Struct):
    name: str = ""
    arguments: msgspec.Raw = _NOTHING
    input: msgspec.Raw = _NOTHING


class _Call(msgspec.Struct):
    id: str | None = None
    function: _Body | None = None
    custom: _Body | None = None


class _Message(msgspec.Struct):
    role: str = ""
    content: msgspec.Raw = _NOTHING
    tool_calls: list[_Call] | None = None
    function_call: _Body | None = None
    tool_call_id: str | None = None


_MESSAGE: Final = msgspec.json.Decoder(_Message)


def is_result(message: bytes) -> bool:
    """Whether a message may be a tool's result; quick."""
    return shows(message, b'"tool"') or shows(message, b'"function"')


def read(messages: Sequence[bytes], start: int) -> Found:
    """Read the rounds from `start` on."""
    found = Rounds()
    for place in range(start, len(messages)):
        message = decoded(_MESSAGE, messages[place])
        if message is None:
            continue
        if message.role in _TOOLS:
            found.result(bytes(message.content), message.tool_call_id or "")
        elif message.role == "user":
            found.said()
        for call in message.tool_calls or ():
            body = call.function or call.custom
            if body is not None:
                _add(found, place, body, call.id or "")
        if message.function_call is not None:
            _add(found, place, message.function_call, "")
    return found.found(len(messages))


def hint_edits(body: bytes, span: Span, text: str) -> list[Edit]:
    """Add a text to the result in the message that stands there; nothing if it is none.

    Raises PeerError `request_malformed` if the message can be read in more than one way.
    """
    members = strict_json.spans_within(body, *span)
    if "role" not in members or body[slice(*members["role"])] not in (b'"tool"', b'"function"'):
        return []
    return hint.content_edits(body, span[0], members, "content", "text", text)


def _add(found: Rounds, place: int, body: _Body, id_: str) -> None:
    found.call(place, body.name, bytes(body.arguments) or bytes(body.input), id_)

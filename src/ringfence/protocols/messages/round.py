"""Rounds of an Anthropic conversation, and where a hint can be added to its last result."""

from collections.abc import Sequence
from typing import Final

import msgspec

from ringfence.protocols import hint, strict_json
from ringfence.protocols.round import Found, Rounds, decoded, shows
from ringfence.protocols.strict_json import Edit, Span

_NOTHING: Final = msgspec.Raw()


class _Block(msgspec.Struct):
    type: str = ""
    id: str = ""
    name: str = ""
    input: msgspec.Raw = _NOTHING
    tool_use_id: str = ""
    content: msgspec.Raw = _NOTHING


class _Message(msgspec.Struct):
    role: str = ""
    content: str | list[_Block] = ""


_MESSAGE: Final = msgspec.json.Decoder(_Message)


def is_result(message: bytes) -> bool:
    """Whether a message may hold a tool's result; quick."""
    return shows(message, b'"tool_result"')


def read(messages: Sequence[bytes], start: int) -> Found:
    """Read the rounds from `start` on. Text beside results is a client's reminder, nobody's word.

    Tools that the provider runs are left out: their results are its own matter.
    """
    found = Rounds()
    for place in range(start, len(messages)):
        message = decoded(_MESSAGE, messages[place])
        if message is None:
            continue
        blocks = message.content if isinstance(message.content, list) else ()
        is_result = False
        for block in blocks:
            if block.type == "tool_use":
                found.call(place, block.name, bytes(block.input), block.id)
            elif block.type == "tool_result":
                is_result = True
                found.result(bytes(block.content), block.tool_use_id)
        if message.role == "user" and not is_result:
            found.said()
    return found.found(len(messages))


def hint_edits(body: bytes, span: Span, text: str) -> list[Edit]:
    """Add a text to the last result of the message that stands there; nothing if it has none.

    Raises PeerError `request_malformed` if the message can be read in more than one way.
    """
    members = strict_json.spans_within(body, *span)
    start, end = members.get("content", (0, 0))
    if body[start : start + 1] != b"[":
        return []
    for block_start, block_end in reversed(strict_json.elements(body, start, end)):
        block = strict_json.spans_within(body, block_start, block_end)
        if "type" in block and body[slice(*block["type"])] == b'"tool_result"':
            return hint.content_edits(body, block_start, block, "content", "text", text)
    return []

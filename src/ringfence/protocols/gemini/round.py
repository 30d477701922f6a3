"""Rounds of Gemini contents, and where a hint can be added to the last result."""

from collections.abc import Sequence
from typing import Final

import msgspec

from ringfence.protocols import strict_json
from ringfence.protocols.gemini.spelling import by_camel_case
from ringfence.protocols.hint import marked
from ringfence.protocols.round import Found, Rounds, decoded, shows
from ringfence.protocols.strict_json import Edit, Span

_NOTHING: Final = msgspec.Raw()
_HINT: Final = "ringfence_hint"
"""A function's response is an object of any members: a hint is one more."""


class _Function(msgspec.Struct):
    id: str | None = None
    name: str = ""
    args: msgspec.Raw = _NOTHING
    response: msgspec.Raw = _NOTHING


class _Part(msgspec.Struct):
    function_call: _Function | None = None
    functionCall: _Function | None = None  # noqa: N815 (a name on the wire)
    function_response: _Function | None = None
    functionResponse: _Function | None = None  # noqa: N815 (likewise)


class _Content(msgspec.Struct):
    role: str | None = None
    parts: list[_Part] | None = None


_CONTENT: Final = msgspec.json.Decoder(_Content)


def is_result(message: bytes) -> bool:
    """Whether a content may hold a function's response; quick."""
    return shows(message, b'"functionResponse"') or shows(message, b'"function_response"')


def read(messages: Sequence[bytes], start: int) -> Found:
    """Read the rounds from `start` on."""
    found = Rounds()
    for place in range(start, len(messages)):
        content = decoded(_CONTENT, messages[place])
        if content is None:
            continue
        is_result = False
        for part in content.parts or ():
            called = part.functionCall or part.function_call
            answered = part.functionResponse or part.function_response
            if called is not None:
                found.call(place, called.name, bytes(called.args), called.id or "")
            if answered is not None:
                is_result = True
                found.result(bytes(answered.response), answered.id or "")
        if content.role != "model" and not is_result:
            found.said()
    return found.found(len(messages))


def hint_edits(body: bytes, span: Span, text: str) -> list[Edit]:
    """Add a member to the last function's response in the content that stands there.

    Nothing if it has none. Raises PeerError `request_malformed` if the content can be read in more
    than one way.
    """
    members = by_camel_case(strict_json.spans_within(body, *span))
    start, end = members.get("parts", (0, 0))
    if body[start : start + 1] != b"[":
        return []
    for part in reversed(strict_json.elements(body, start, end)):
        inner = by_camel_case(strict_json.spans_within(body, *part))
        if "functionResponse" in inner and body[inner["functionResponse"][0]] == b"{"[0]:
            return _response_edits(body, inner["functionResponse"], text)
    return []


def _response_edits(body: bytes, span: Span, text: str) -> list[Edit]:
    value = msgspec.json.encode(marked(text).strip())
    members = strict_json.spans_within(body, *span)
    if "response" not in members:
        whole = b'{"' + _HINT.encode() + b'":' + value + b"}"
        return [strict_json.insertion(body, span[0], "response", whole)]
    start, end = members["response"]
    if body[start : start + 1] != b"{":
        return []
    inner = strict_json.spans_within(body, start, end)
    if _HINT in inner:
        return [(*inner[_HINT], value)]
    return [strict_json.insertion(body, start, _HINT, value)]

"""Hints: a short text of ours, added to a request where the model reads it next.

It stands in the last tool result, marked as ours: the one place that every dialect and every server
behind it accepts. A message of its own after a tool's is refused by some (a system message that is
not the first, a user message that follows a tool's), and Gemini wants a turn of results to hold
nothing else.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from ringfence.domain.exchange import ModelRequest
from ringfence.protocols import strict_json
from ringfence.protocols.request import LocatedRequest
from ringfence.protocols.strict_json import Edit, Span

MARK: Final = "[Note from Ringfence, not part of the result: "
"""How every hint begins; a model is to know that the tool did not say it."""


def marked(text: str) -> str:
    """A hint as it is written."""
    return f"\n\n{MARK}{text}]"


def content_edits(  # noqa: PLR0913, PLR0917 (where, and what)
    body: bytes, at: int, members: Mapping[str, Span], name: str, kind: str, text: str
) -> list[Edit]:
    """Add a text to a member that is a text or a list of parts; `kind` is the type of a text part.

    `members` are those of the object that stands at `at`. Raises PeerError `request_malformed`.
    """
    written = msgspec.json.encode(marked(text))
    if name not in members:
        return [strict_json.insertion(body, at, name, written)]
    start, end = members[name]
    match body[start : start + 1]:
        case b'"':
            return [(end - 1, end - 1, written[1:-1])]
        case b"[":
            part = msgspec.json.encode({"type": kind, "text": marked(text).strip()})
            is_empty = not strict_json.elements(body, start, end)
            return [(end - 1, end - 1, part if is_empty else b"," + part)]
        case b"n":
            return [(start, end, written)]
        case _:
            return []


def hinted(request: ModelRequest, edits: list[Edit]) -> ModelRequest:
    """The same request with its last message changed; every other byte as it was."""
    body = strict_json.replace(request.body, edits)
    *before, (start, end) = request.message_spans
    longer = len(body) - len(request.body)
    changed = msgspec.structs.replace(
        request,
        body=body,
        messages=(*request.messages[:-1], body[start : end + longer]),
        message_spans=(*before, (start, end + longer)),
    )
    if isinstance(changed, LocatedRequest):
        moved = {name: _moved(span, start, longer) for name, span in changed.spans.items()}
        return msgspec.structs.replace(changed, spans=moved)
    return changed


def _moved(span: Span, start: int, longer: int) -> Span:
    """Where a member stands after the message at `start` has grown, which it may hold."""
    return (
        span[0] + longer if span[0] > start else span[0],
        span[1] + longer if span[1] > start else span[1],
    )

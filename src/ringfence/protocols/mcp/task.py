"""Tasks: what a server does for longer than an answer takes, named by an id that a client keeps.

Sources: MCP 2025-11-25, Tasks (experimental); 2026-07-28, extension `io.modelcontextprotocol/tasks`
(SEP-2663).
"""

from collections.abc import Callable
from typing import Final

from ringfence.domain.error import PeerError
from ringfence.protocols import strict_json
from ringfence.protocols.mcp import error as errors
from ringfence.protocols.mcp.error import McpError
from ringfence.protocols.strict_json import Edit

EXTENSION: Final = "io.modelcontextprotocol/tasks"
FIELD: Final = "taskId"
METHODS: Final = frozenset({"tasks/get", "tasks/update", "tasks/cancel", "tasks/result"})
"""Methods that name one."""
_LIST: Final = "tasks/list"
"""Lists those of everybody who shares our credential at a server."""
_MARK: Final = b'"taskId"'
_RELATED: Final = "io.modelcontextprotocol/related-task"


def check(method: str) -> None:
    """Refuse what would show the tasks of others. Raises McpError `METHOD_NOT_FOUND`."""
    if method == _LIST:
        raise McpError(errors.METHOD_NOT_FOUND, "tasks are not listed here")


def renamed(result: bytes, name: Callable[[str], str]) -> bytes:
    """A result whose task, if it has one, goes by another name. Raises PeerError.

    It stands at the top (2026-07-28), in `task`, or in `_meta` (2025-11-25).
    """
    if _MARK not in result:
        return result
    edits: list[Edit] = []
    spans = strict_json.spans(result)
    places = [spans]
    for outer, inner in (("task", ""), ("_meta", _RELATED)):
        found = _inner(result, spans, outer)
        places.append(_inner(result, found, inner) if inner else found)
    for place in places:
        span = place.get(FIELD)
        if span is not None and result[span[0]] == _QUOTE:
            own = strict_json.text(result[span[0] : span[1]], FIELD)
            edits.append((*span, strict_json.encode(name(own))))
    return strict_json.replace(result, edits)


def _inner(
    raw: bytes, spans: dict[str, strict_json.Span], name: str
) -> dict[str, strict_json.Span]:
    """The members of a member that is an object; none of what is not there."""
    span = spans.get(name)
    if span is None or raw[span[0]] != _OPEN:
        return {}
    return strict_json.spans_within(raw, *span)


_OPEN: Final = ord("{")
_QUOTE: Final = ord('"')


def split(content: bytes) -> tuple[str, str]:
    """Server and id, as `joined` has put them together. Raises PeerError."""
    server, separator, own = content.decode().partition("\n")
    if not separator:
        raise PeerError("task_unknown", "this names no task")
    return server, own


def joined(server: str, own: str) -> bytes:
    """Server and id as one."""
    return f"{server}\n{own}".encode()

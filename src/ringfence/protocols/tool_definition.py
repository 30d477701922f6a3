"""Reading a tool as its server lists it."""

import json
from typing import Final

from ringfence.domain.error import PeerError
from ringfence.domain.tool import ToolDefinition, ToolKey
from ringfence.protocols import strict_json

LONGEST_NAME: Final = 128
"""SEP-986 (MCP 2025-11-25); longer ones cannot be written in a header either."""
MOST_BYTES: Final = 262_144
"""Of one definition; the longest seen in the wild has 60 KB."""


def read_definition(server: str, raw: bytes) -> ToolDefinition:
    """Read one element of `tools`. Raises PeerError `tool_malformed`.

    Schemas come out as canonical JSON. What is read strictly is refused strictly (I8), so
    that what was pinned is what every client reads.
    """
    if len(raw) > MOST_BYTES:
        raise _malformed(f"a tool of `{server}` is defined by more than {MOST_BYTES} bytes")
    try:
        members = strict_json.parse(raw)
    except PeerError as error:
        raise _malformed(f"a tool of `{server}` cannot be read: {error.message}") from error
    if not isinstance(members, dict):
        raise _malformed(f"a tool of `{server}` is not an object")
    name = members.get("name")
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
        raise _malformed(f"a tool of `{server}` has no usable name")
    return ToolDefinition(
        key=ToolKey(server=server, name=name),
        raw=raw,
        title=_text(members.get("title")),
        description=_text(members.get("description")),
        input_schema=_schema(members.get("inputSchema", {})),
        output_schema=_schema(members["outputSchema"]) if "outputSchema" in members else b"",
        annotations=_annotations(members.get("annotations")),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _schema(value: object) -> bytes:
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise _malformed("a schema holds a lone surrogate") from error


def _annotations(value: object) -> tuple[tuple[str, str | bool], ...]:
    if not isinstance(value, dict):
        return ()
    return tuple((key, each) for key, each in sorted(value.items()) if isinstance(each, str | bool))


def _malformed(message: str) -> PeerError:
    return PeerError("tool_malformed", message)

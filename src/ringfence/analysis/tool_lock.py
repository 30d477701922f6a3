"""The lock file: every accepted definition of every server's tools, made to be read in a review.

The same tools give the same bytes. Characters beyond ASCII are written as escapes, so that none
hides in a review.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from ringfence.analysis.tool_pin import canonical, pin_of
from ringfence.domain.error import UsageError
from ringfence.domain.tool import ToolDefinition, ToolKey

_FORMAT: Final = 1


def write(servers: Mapping[str, Sequence[ToolDefinition]]) -> bytes:
    """The file for these tools, by server; a server without tools stands there too."""
    document = {
        "format": _FORMAT,
        "servers": {
            server: {
                each.key.name: {"pin": pin_of(each), "definition": json.loads(each.raw)}
                for each in tools
            }
            for server, tools in servers.items()
        },
    }
    return (json.dumps(document, indent=2, sort_keys=True) + "\n").encode()


def read(data: bytes) -> dict[str, tuple[bytes, ...]]:
    """Canonical definitions by server. Raises UsageError `lock_invalid`."""
    try:
        document = json.loads(data, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise _invalid(f"cannot be read: {_lowered(error)}") from error
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise _invalid(f"is not of format {_FORMAT}")
    servers = document.get("servers")
    if not isinstance(servers, dict):
        raise _invalid("has no `servers`")
    return {str(server): tuple(_definitions(server, tools)) for server, tools in servers.items()}


def _definitions(server: object, tools: object) -> list[bytes]:
    if not isinstance(tools, dict):
        raise _invalid(f"has no tools of `{server}`")
    return [_definition(f"{server}__{name}", str(name), tool) for name, tool in tools.items()]


def _definition(where: str, name: str, tool: object) -> bytes:
    definition = tool.get("definition") if isinstance(tool, dict) else None
    pin = tool.get("pin") if isinstance(tool, dict) else None
    if not isinstance(definition, dict) or definition.get("name") != name:
        raise _invalid(f"has no definition of `{where}`")
    try:
        raw = canonical(definition)
    except ValueError as error:
        raise _invalid(f"holds a definition of `{where}` that is no text") from error
    key = ToolKey(server=where.partition("__")[0], name=name)
    if pin_of(ToolDefinition(key=key, raw=raw)) != pin:
        raise _invalid(f"holds a definition of `{where}` that its pin does not fit")
    return raw


def _unique(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _lowered(error: Exception) -> str:
    text = str(error) or "it is nested too deeply"
    return text[:1].lower() + text[1:]


def _invalid(what: str) -> UsageError:
    help_ = "take it from version control, or make it anew with `ringfence tools lock`"
    return UsageError("lock_invalid", f"the lock file {what}", help=help_)

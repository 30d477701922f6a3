"""The hooks of Claude Code over HTTP: what it says before and after a tool, and what it is told.

Source: https://code.claude.com/docs/en/hooks (PreToolUse, PostToolUse, PostToolUseFailure).
"""

from enum import StrEnum
from typing import Any, Final

import msgspec

from ringfence.domain.error import PeerError
from ringfence.domain.verdict import Code
from ringfence.protocols import strict_json

_MCP: Final = "mcp__"
_NAME_CHARACTERS: Final = 150


class HookEvent(StrEnum):
    """The moments that matter here; at any other nothing is said."""

    BEFORE = "PreToolUse"
    AFTER = "PostToolUse"
    FAILED = "PostToolUseFailure"


class Hooked(msgspec.Struct, frozen=True, kw_only=True):
    """What Claude Code says of one use of a tool; `result` and `error` only after it."""

    event: HookEvent
    tool: str
    call_id: str
    arguments: msgspec.Raw = msgspec.Raw(b"{}")
    result: msgspec.Raw = msgspec.Raw()
    error: str = ""


class _Body(msgspec.Struct):
    hook_event_name: str
    tool_name: str = ""
    tool_use_id: str = ""
    tool_input: msgspec.Raw = msgspec.Raw(b"{}")
    tool_response: msgspec.Raw = msgspec.Raw()
    error: Any = ""


def read(body: bytes) -> Hooked | None:
    """What a hook says; None for what has no say here: other moments, tools of MCP servers.

    Raises PeerError `request_malformed`.
    """
    strict_json.parse(body)
    try:
        said = msgspec.json.decode(body, type=_Body)
    except msgspec.ValidationError as error:
        raise PeerError(Code.REQUEST_MALFORMED, "the body is not that of a hook") from error
    if said.hook_event_name not in set(HookEvent) or said.tool_name.startswith(_MCP):
        return None
    if not said.tool_name or len(said.tool_name) > _NAME_CHARACTERS:
        raise PeerError(Code.REQUEST_MALFORMED, "the hook names no tool")
    return Hooked(
        event=HookEvent(said.hook_event_name),
        tool=said.tool_name,
        call_id=said.tool_use_id,
        arguments=said.tool_input,
        result=said.tool_response,
        error=said.error if isinstance(said.error, str) else "the tool failed",
    )


NOTHING: Final = b"{}"
"""Nothing to say."""


def allow(arguments: bytes) -> bytes:
    """It may be done, with exactly these arguments."""
    return _decision("allow", "Ringfence allows it.", updatedInput=msgspec.Raw(arguments))


def deny(why: str) -> bytes:
    """It may not; the model reads why."""
    return _decision("deny", why)


def _decision(decision: str, why: str, **more: object) -> bytes:
    return msgspec.json.encode(
        {
            "hookSpecificOutput": {
                "hookEventName": HookEvent.BEFORE.value,
                "permissionDecision": decision,
                "permissionDecisionReason": why,
                **more,
            }
        }
    )

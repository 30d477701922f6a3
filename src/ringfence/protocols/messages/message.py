"""What Anthropic messages bring along: images, media, files of the provider, added tools.

Almost every message holds text and tool calls alone. `_Plain` is the shape of those, in types that
`msgspec` checks while it skips: whatever fits it is harmless in each occurrence of each of its
names, so that duplicate names cannot hide anything. Only what does not fit is built and looked at.
"""

from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec

from ringfence.protocols import strict_json
from ringfence.protocols.field import Findings, Meaning, feature
from ringfence.protocols.messages.tool import read_tool

_Skipped = msgspec.Raw
_NOTHING: Final = msgspec.Raw()

_PlainType = Literal[
    "text", "tool_use", "tool_result", "thinking", "redacted_thinking", "server_tool_use"
]


class _PlainBlock(msgspec.Struct, forbid_unknown_fields=True):
    type: _PlainType = "text"
    text: _Skipped = _NOTHING
    citations: _Skipped = _NOTHING
    cache_control: _Skipped = _NOTHING
    id: _Skipped = _NOTHING
    name: _Skipped = _NOTHING
    toolset_name: _Skipped = _NOTHING
    caller: _Skipped = _NOTHING
    input: _Skipped = _NOTHING
    """What a tool is called with is the agent's own matter, whatever it looks like."""
    tool_use_id: _Skipped = _NOTHING
    is_error: _Skipped = _NOTHING
    content: "str | list[_PlainBlock] | None" = None
    thinking: _Skipped = _NOTHING
    signature: _Skipped = _NOTHING
    data: _Skipped = _NOTHING


class _Plain(msgspec.Struct, forbid_unknown_fields=True):
    role: _Skipped = _NOTHING
    content: str | list[_PlainBlock] = ""


_ALL_PLAIN: Final = msgspec.json.Decoder(list[_Plain])
_ONE_PLAIN: Final = msgspec.json.Decoder(_Plain)
_PLAIN_SYSTEM: Final = msgspec.json.Decoder(str | list[_PlainBlock] | None)


_BLOCKS: Final = frozenset(
    {
        *("text", "thinking", "redacted_thinking", "image", "document", "search_result"),
        *("tool_use", "tool_result", "server_tool_use", "mcp_tool_use", "mcp_tool_result"),
        *("tool_addition", "tool_removal", "tool_reference", "mcp_tool_listing"),
        *("browser_state", "compaction", "container_upload", "fallback"),
        *("web_search_result", "web_search_tool_result", "web_search_tool_result_error"),
        *("web_fetch_result", "web_fetch_tool_result", "web_fetch_tool_result_error"),
        *("advisor_result", "advisor_redacted_result"),
        *("advisor_tool_result", "advisor_tool_result_error"),
        *("tool_search_tool_search_result", "tool_search_tool_result"),
        "tool_search_tool_result_error",
        *("code_execution_output", "bash_code_execution_output"),
        *("code_execution_result", "encrypted_code_execution_result"),
        *("code_execution_tool_result", "code_execution_tool_result_error"),
        *("bash_code_execution_result", "bash_code_execution_tool_result"),
        "bash_code_execution_tool_result_error",
        "text_editor_code_execution_tool_result",
        "text_editor_code_execution_tool_result_error",
        "text_editor_code_execution_create_result",
        "text_editor_code_execution_str_replace_result",
        "text_editor_code_execution_view_result",
    }
)
"""Every block of the anthropic SDK 2.11.0, at any depth. Others are new: input from outside."""
_MESSAGE_NAMES: Final = frozenset({"role", "content"})
_BLOCK_NAMES: Final = frozenset(
    {"type", "text", "content", "source", "file_id", "tool_changes", "tool", "definition"}
)
_SOURCE_NAMES: Final = frozenset({"type", "content", "file_id", "url", "data", "media_type"})


def inspect(raw_array: bytes, messages: tuple[bytes, ...], findings: Findings) -> None:
    """Note what the messages hold besides text and tool calls."""
    if _fits(_ALL_PLAIN, raw_array):
        return
    for raw in messages:
        if not _fits(_ONE_PLAIN, raw):
            message = findings.build(raw)
            if not isinstance(message, dict):
                strict_json.refuse("a message is not an object")
            strict_json.refuse_lookalikes(message, _MESSAGE_NAMES)
            _inspect_blocks(message.get("content"), findings)


def inspect_system(raw: bytes, findings: Findings) -> None:
    """Note what `system` holds besides text."""
    if not _fits(_PLAIN_SYSTEM, raw):
        _inspect_blocks(findings.build(raw), findings)


def _fits(decoder: msgspec.json.Decoder[Any], raw: bytes) -> bool:
    try:
        decoder.decode(raw)
    except (msgspec.ValidationError, RecursionError):
        return False
    return True


def _inspect_blocks(content: object, findings: Findings) -> None:
    for block in _objects(content):
        _inspect_block(block, findings)


def _inspect_block(block: dict[str, object], findings: Findings) -> None:
    strict_json.refuse_lookalikes(block, _BLOCK_NAMES)
    kind = block.get("type", "text")
    if not isinstance(kind, str) or kind not in _BLOCKS:
        findings.outside.append(feature(kind if isinstance(kind, str) else "type"))
    _inspect_source(block, findings)
    if block.get("type") != "code_execution_output":  # names a file of its own, brings none
        _inspect_file(block, findings)
    # `tool_addition` adds a tool here; `compaction` keeps those that were added before it.
    for change in (block, *_objects(block.get("tool_changes"))):
        for added in _objects(change.get("tool")):
            for definition in _objects(added.get("definition")):
                read_tool(definition, findings)
    _inspect_blocks(block.get("content"), findings)


def _inspect_source(block: dict[str, object], findings: Findings) -> None:
    source = block.get("source")
    if not isinstance(source, dict):  # a search result's `source` is a text
        return
    strict_json.refuse_lookalikes(source, _SOURCE_NAMES)
    kind = source.get("type")
    if kind == "content":
        _inspect_blocks(source.get("content"), findings)
    elif kind == "file":
        _inspect_file(source, findings)
    elif block.get("type") == "image":
        findings.images += 1
    elif kind != "text":
        findings.media += 1


def _inspect_file(holder: dict[str, object], findings: Findings) -> None:
    if holder.get("file_id") is not None:
        findings.add(Meaning.OBJECT, "file_id", holder["file_id"])


def _objects(value: object) -> Iterator[dict[str, object]]:
    """The objects of an array, or the one object that stands in its place."""
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict):
            yield item

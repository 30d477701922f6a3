"""What the input items of a Responses request bring along besides text, by a table of their types.

Source: `ResponseInputItemParam` of the openai SDK 3.52.0 (read 2026-11-21).
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import msgspec

from ringfence.protocols import strict_json
from ringfence.protocols.chat.message import inspect_breakpoint, inspect_file
from ringfence.protocols.field import Findings, Meaning, feature
from ringfence.protocols.responses.plain import are_plain, is_plain
from ringfence.protocols.responses.tool import read_tools
from ringfence.protocols.strict_json import Span

_Item: TypeAlias = Mapping[str, object]
_Effect: TypeAlias = Callable[[str, _Item, Findings], None]


def _none(kind: str, item: _Item, findings: Findings) -> None:
    """It brings the text it holds; its content and output are looked at for every item."""


def _reasoning(kind: str, item: _Item, findings: Findings) -> None:
    """Without its encrypted or plain content, reasoning is looked up by its id."""
    if not item.get("encrypted_content") and not item.get("content"):
        findings.add(Meaning.OBJECT, kind, item.get("id"))


def _tools(_kind: str, item: _Item, findings: Findings) -> None:
    """It brings further tools."""
    findings.merge(read_tools(msgspec.json.encode(item.get("tools", []))))


def _picture(kind: str, item: _Item, findings: Findings) -> None:
    """It holds an image, or names one that the provider holds."""
    findings.images += 1
    output = item.get("output")
    if isinstance(output, dict) and output.get("file_id") is not None:
        findings.add(Meaning.OBJECT, "file_id", output["file_id"])
    if kind == "image_generation_call" and not item.get("result"):
        findings.add(Meaning.OBJECT, kind, item.get("id"))


def _container(_kind: str, item: _Item, findings: Findings) -> None:
    """It may name a container at the provider."""
    environment = item.get("environment")
    for holder in (item, environment if isinstance(environment, dict) else {}):
        if holder.get("container_id") is not None:
            findings.add(Meaning.OBJECT, "container_id", holder["container_id"])
    outputs = item.get("outputs")
    for output in outputs if isinstance(outputs, list) else [outputs]:
        if isinstance(output, dict) and output.get("url") is not None:
            findings.images += 1
            findings.add(Meaning.OUTSIDE, "url", output["url"])


def _object(kind: str, item: _Item, findings: Findings) -> None:
    """It stands for something that the provider holds."""
    findings.add(Meaning.OBJECT, kind, item.get("id"))


def _hosted(kind: str, _item: _Item, findings: Findings) -> None:
    """It makes the provider run something."""
    findings.add(Meaning.HOSTED, kind, None)


def _priced(kind: str, _item: _Item, findings: Findings) -> None:
    """It makes the model work beyond the answer."""
    findings.add(Meaning.PRICED, kind, None)


ITEMS: Final[Mapping[str, _Effect]] = {
    "message": _none,
    "function_call": _none,
    "function_call_output": _none,
    "custom_tool_call": _none,
    "custom_tool_call_output": _none,
    "local_shell_call": _none,
    "local_shell_call_output": _none,
    "shell_call_output": _none,
    "apply_patch_call": _none,
    "apply_patch_call_output": _none,
    "computer_call": _none,
    "configuration_update": _none,
    "compaction": _none,
    "web_search_call": _none,
    "file_search_call": _none,
    "mcp_list_tools": _none,
    "mcp_approval_request": _none,
    "mcp_call": _none,
    "tool_search_call": _none,
    "program": _none,
    "program_output": _none,
    "reasoning": _reasoning,
    "additional_tools": _tools,
    "tool_search_output": _tools,
    "computer_call_output": _picture,
    "image_generation_call": _picture,
    "shell_call": _container,
    "code_interpreter_call": _container,
    "item_reference": _object,
    "mcp_approval_response": _hosted,
    "compaction_trigger": _priced,
}
"""Items of any other type count as input from outside."""

_ITEM_NAMES: Final = frozenset(
    {"type", "role", "id", "content", "output", "tools", "encrypted_content", "container_id"}
)
_MEDIA_NAMES: Final = ("image_url", "file_id", "file_data", "file_url", "input_audio")
_PART_NAMES: Final = frozenset({"type", "text", *_MEDIA_NAMES})
_SCREENSHOT: Final = ("computer_call_output", "output")
"""The one place where an object stands instead of parts."""
_TEXT_PARTS: Final = frozenset(
    {"input_text", "output_text", "text", "refusal", "reasoning_text", "summary_text", None}
)
"""None is a piece of `shell_call_output`, which has no type."""


def inspect(body: bytes, span: Span, items: tuple[bytes, ...], findings: Findings) -> None:
    """Note what the items hold besides text."""
    if are_plain(body[span[0] : span[1]]):
        return
    for item in items:
        if not is_plain(item):
            _inspect_item(findings.build(item), findings)


def _inspect_item(item: object, findings: Findings) -> None:
    if not isinstance(item, dict):
        strict_json.refuse("an item of `input` is not an object")
    strict_json.refuse_lookalikes(item, _ITEM_NAMES)
    kind = item.get("type")
    if kind is None:
        kind = "message" if "role" in item else "item_reference"
    effect = ITEMS.get(kind) if isinstance(kind, str) else None
    if effect is None:
        findings.outside.append(feature(kind if isinstance(kind, str) else "type"))
        return
    effect(kind, item, findings)
    for name in ("content", "output"):
        parts = item.get(name)
        if isinstance(parts, list):
            for part in parts:
                _inspect_part(part, findings)
        elif not isinstance(parts, str | None) and (kind, name) != _SCREENSHOT:
            strict_json.refuse(f"the `{name}` of an item is neither text nor a list of parts")


def _inspect_part(part: object, findings: Findings) -> None:
    if not isinstance(part, dict):
        strict_json.refuse("a part of an item's content is not an object")
    strict_json.refuse_lookalikes(part, _PART_NAMES)
    inspect_breakpoint(part, findings)
    kind = part.get("type")
    if kind in ("input_image", "computer_screenshot"):
        findings.images += 1
        if part.get("file_id") is not None:
            findings.add(Meaning.OBJECT, "file_id", part["file_id"])
    elif kind == "input_file":
        inspect_file(part, findings)
    elif kind in ("input_audio", "input_video"):
        findings.media += 1
    elif not isinstance(kind, str | None) or kind not in _TEXT_PARTS:
        findings.outside.append(feature(kind if isinstance(kind, str) else "type"))
    else:  # a server may look at the names, not at the type
        findings.outside += [feature(name) for name in _MEDIA_NAMES if part.get(name) is not None]

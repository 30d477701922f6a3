"""Anthropic Messages made readable for traces, from stored bytes; nothing is decided by it."""

from collections.abc import Mapping

from ringfence.domain.exchange import Message, Part, Reading
from ringfence.protocols.lenient import record, records, text
from ringfence.protocols.reading import events, lenient_load, load, plain

_CALLS = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})
_GROWING = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
"""Kinds of delta, and the member that adds to the block."""


class MessagesReader:
    """The dialects `messages` and `count_tokens`; see `dialect.Reader`."""

    def read_exchange(self, request: bytes, response: bytes, *, streamed: bool) -> Reading:
        """Read a stored request and its stored answer; what cannot be read is left out."""
        asked, warnings = load(request)
        said = _joined(response) if streamed else lenient_load(response)
        return Reading(
            system=[*warnings, *_parts(asked.get("system"))],
            context=[
                Message(role=text(message.get("role")), parts=_parts(message.get("content")))
                for message in records(asked.get("messages"))
            ],
            tools=[
                text(tool.get("name")) or text(tool.get("type"))
                for tool in records(asked.get("tools"))
            ],
            answer=_answer(said),
            finish=text(said.get("stop_reason")),
        )


def _answer(said: Mapping[str, object]) -> Message | None:
    parts = _parts(said.get("content"))
    error = record(said.get("error"))
    if error:
        what = ": ".join(filter(None, [text(error.get("type")), text(error.get("message"))]))
        parts.append(Part(kind="other", text=what))
    return Message(role="assistant", parts=parts) if parts else None


def _parts(content: object) -> list[Part]:
    if isinstance(content, str):
        return [Part(kind="text", text=content)]
    return [_part(block) for block in records(content)]


def _part(block: Mapping[str, object]) -> Part:
    kind = text(block.get("type"))
    if kind == "text":
        return Part(kind="text", text=text(block.get("text")))
    if kind in ("thinking", "redacted_thinking"):
        return Part(kind="reasoning", text=text(block.get("thinking")))
    if kind in _CALLS:
        return Part(
            kind="tool_call",
            name=text(block.get("name")),
            id=text(block.get("id")),
            text=plain(block.get("input")),
        )
    if kind.endswith("tool_result"):
        result = block.get("content")
        return Part(kind="tool_result", id=text(block.get("tool_use_id")), text=_result(result))
    if kind in ("image", "document"):
        is_image = kind == "image"
        return Part(kind="image" if is_image else "media", text=_place(record(block.get("source"))))
    return Part(kind="other", text=kind)


def _result(content: object) -> str:
    """A tool's result: its texts if it has nothing else, else the whole as JSON."""
    parts = _parts(content)
    if parts and all(part.kind == "text" for part in parts):
        return "\n".join(part.text for part in parts)
    return plain(content)


def _place(source: Mapping[str, object]) -> str:
    """Where a picture or document is, or of what kind its bytes are."""
    named = (source.get(name) for name in ("url", "file_id", "media_type"))
    return next((text(name) for name in named if name), "")


def _joined(response: bytes) -> Mapping[str, object]:
    """The message that the events of a stream add up to."""
    blocks: dict[str, dict[str, object]] = {}
    said: dict[str, object] = {}
    for event in events(response):
        delta, place = record(event.get("delta")), str(event.get("index"))
        match event.get("type"):
            case "content_block_start":
                blocks[place] = dict(record(event.get("content_block")))
            case "content_block_delta":
                _grow(blocks.setdefault(place, {}), delta)
            case "message_delta":
                said["stop_reason"] = delta.get("stop_reason")
            case "error":
                said["error"] = event.get("error")
    said["content"] = [_whole(block) for block in blocks.values()]
    return said


def _grow(block: dict[str, object], delta: Mapping[str, object]) -> None:
    name = _GROWING.get(text(delta.get("type")))
    if name:
        block[name] = text(block.get(name)) + text(delta.get(name))
        block.setdefault("type", name)


def _whole(block: dict[str, object]) -> dict[str, object]:
    """A block with the arguments that came in pieces; they may have been cut."""
    written = block.pop("partial_json", "")
    return {**block, "input": written} if written else block

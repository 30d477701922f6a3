"""Stored Responses exchanges made readable for traces."""

from collections.abc import Mapping, Sequence
from typing import Final

from ringfence.domain.exchange import Message, Part, Reading
from ringfence.protocols import reading
from ringfence.protocols.lenient import record, records, text
from ringfence.protocols.reading import plain
from ringfence.protocols.responses.answer import CLIENT_CALLS, HOSTED_CALLS

_NAMED_CALLS: Final = frozenset({"function_call", "custom_tool_call", "mcp_call"})
_TEXT_PARTS: Final = frozenset({"input_text", "output_text", "text"})

_DELTAS: Final = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "text",
    "response.reasoning_text.delta": "reasoning",
    "response.reasoning_summary_text.delta": "reasoning",
    "response.function_call_arguments.delta": "tool_call",
    "response.custom_tool_call_input.delta": "tool_call",
}
"""What the pieces of an item are that a cut has left unfinished."""


class ResponsesReader:
    """Reads stored requests and answers of `/v1/responses`."""

    def read_exchange(self, request: bytes, response: bytes, *, streamed: bool) -> Reading:
        """Read a stored request and its stored answer (JSON, or the raw stream)."""
        asked, warnings = reading.load(request)
        system, context = reading.split_system(_messages(asked.get("input")))
        instructions = [
            part for message in _messages(asked.get("instructions")) for part in message.parts
        ]
        answer, finish = _read_stream(response) if streamed else (None, "")
        if answer is None:
            answer, finish = _read_response(reading.lenient_load(response))
        return Reading(
            system=[*warnings, *instructions, *system],
            context=context,
            tools=_tools(asked.get("tools")),
            answer=answer,
            finish=finish,
        )


def _messages(given: object) -> list[Message]:
    if isinstance(given, str):
        return [Message(role="user", parts=[Part(kind="text", text=given)])]
    names: dict[str, str] = {}
    return [read_item(item, names) for item in records(given)]


def read_item(item: Mapping[str, object], names: dict[str, str]) -> Message:
    """Read one item; `names` learns the tool of each call and names the results."""
    kind = text(item.get("type"))
    call = text(item.get("call_id")) or text(item.get("id"))
    if kind in _NAMED_CALLS or kind in CLIENT_CALLS or kind in HOSTED_CALLS:
        part = _call(kind, item, call)
        names[call] = part.name
        return Message(role="assistant", parts=[part])
    if kind.endswith("_call_output"):
        output = item.get("output")
        shown = "".join([part.text for part in _parts(output) if part.kind == "text"])
        rest = [part for part in _parts(output) if part.kind not in ("text", "other")]
        name = names.get(call, "") or text(item.get("name"))
        shown = shown or ("" if rest else plain(output))
        return Message(
            role="tool", parts=[Part(kind="tool_result", text=shown, name=name, id=call), *rest]
        )
    if kind == "reasoning":
        return Message(role="assistant", parts=_reasoning(item))
    if "role" in item:
        return Message(role=text(item.get("role")), parts=_parts(item.get("content")))
    return Message(role="other", parts=[Part(kind="other", text=kind, id=text(item.get("id")))])


def _call(kind: str, item: Mapping[str, object], call: str) -> Part:
    name = text(item.get("name")) or CLIENT_CALLS.get(kind) or HOSTED_CALLS.get(kind, "")
    space = text(item.get("namespace"))
    given = ("arguments", "input", "action", "operation", "queries", "code")
    asked = next((item[field] for field in given if item.get(field) is not None), None)
    return Part(
        kind="tool_call", text=plain(asked), name=f"{space}.{name}" if space else name, id=call
    )


def _reasoning(item: Mapping[str, object]) -> list[Part]:
    thoughts = [*records(item.get("summary")), *records(item.get("content"))]
    parts = [Part(kind="reasoning", text=text(thought.get("text"))) for thought in thoughts]
    if not parts and item.get("encrypted_content"):
        parts = [Part(kind="reasoning", text="(encrypted)")]
    return parts


def _parts(content: object) -> list[Part]:
    if isinstance(content, str):
        return [Part(kind="text", text=content)] if content else []
    return [_part(part) for part in records(content)]


def _part(part: Mapping[str, object]) -> Part:
    kind = text(part.get("type"))
    if kind in _TEXT_PARTS:
        return Part(kind="text", text=text(part.get("text")))
    if kind == "refusal":
        return Part(kind="text", text=text(part.get("refusal")))
    if kind in ("input_image", "computer_screenshot"):
        return reading.image(part.get("image_url") or part.get("file_id"))
    if kind in ("input_file", "input_audio"):
        named = (part.get(name) for name in ("filename", "file_id", "file_url"))
        return Part(kind="media", text=next((text(name) for name in named if name), kind))
    return Part(kind="other", text=kind)


def _tools(given: object) -> list[str]:
    names: list[str] = []
    for tool in records(given):
        name = text(tool.get("name")) or text(tool.get("type"))
        inner = [f"{name}.{text(each.get('name'))}" for each in records(tool.get("tools"))]
        names += inner or [name]
    return names


def _read_response(response: Mapping[str, object]) -> tuple[Message | None, str]:
    items = records(response.get("output"))
    details = record(response.get("incomplete_details"))
    finish = text(details.get("reason")) or text(response.get("status"))
    parts = _answer_parts(items)
    if response.get("error"):
        failure = reading.failure(response["error"])
        return Message(role="assistant" if parts else "error", parts=[*parts, *failure.parts]), (
            finish or "error"
        )
    return (Message(role="assistant", parts=parts), finish) if response else (None, "")


def _answer_parts(items: Sequence[Mapping[str, object]]) -> list[Part]:
    names: dict[str, str] = {}
    return [part for item in items for part in read_item(item, names).parts]


class _Assembly:
    """The items of a stream that was cut: the whole ones, and the pieces of the others."""

    def __init__(self) -> None:
        self._parts: dict[object, list[Part]] = {}
        self._pieces: dict[object, tuple[str, list[str]]] = {}

    def add(self, kind: str, event: Mapping[str, object]) -> None:
        place = str(event.get("output_index"))
        if kind == "response.output_item.added":
            self._parts[place] = _answer_parts([record(event.get("item"))])
        elif kind == "response.output_item.done":
            self._parts[place] = _answer_parts([record(event.get("item"))])
            self._pieces.pop(place, None)
        elif kind in _DELTAS:
            pieces = self._pieces.setdefault(place, (_DELTAS[kind], []))[1]
            pieces.append(text(event.get("delta")))

    def parts(self) -> list[Part]:
        for place, (kind, pieces) in self._pieces.items():
            head = next(iter(self._parts.get(place, ())), Part(kind=kind))
            part = Part(kind=kind, text="".join(pieces), name=head.name, id=head.id)
            self._parts[place] = [part]
        return [part for group in self._parts.values() for part in group]


def _read_stream(response: bytes) -> tuple[Message | None, str]:
    assembly = _Assembly()
    failure: list[Part] = []
    for event in reading.events(response):
        kind = text(event.get("type"))
        if kind in ("response.completed", "response.incomplete"):
            return _read_response(record(event.get("response")))
        if kind == "response.failed":
            failure = list(reading.failure(record(event.get("response")).get("error")).parts)
        elif kind == "error" or event.get("error"):
            failure = list(reading.failure(event.get("error") or event).parts)
        else:
            assembly.add(kind, event)
    parts = assembly.parts()
    if not parts and not failure:
        return None, ""
    role = "assistant" if parts else "error"
    return Message(role=role, parts=[*parts, *failure]), "error" if failure else ""

"""Stored chat exchanges made readable for traces."""

from collections.abc import Mapping

from ringfence.domain.exchange import Message, Part, Reading
from ringfence.protocols import reading
from ringfence.protocols.chat.message import IMAGE_PARTS, MEDIA_PARTS
from ringfence.protocols.lenient import record, records, text, texts
from ringfence.protocols.reading import plain

_REASONING = ("reasoning_content", "reasoning")


class ChatReader:
    """Reads stored requests and answers of `/v1/chat/completions`."""

    def read_exchange(self, request: bytes, response: bytes, *, streamed: bool) -> Reading:
        """Read a stored request and its stored answer (JSON, or the raw stream)."""
        asked, warnings = reading.load(request)
        names: dict[str, str] = {}
        messages = [read_message(stated, names) for stated in records(asked.get("messages"))]
        system, context = reading.split_system(messages)
        answer, finish = _read_stream(response) if streamed else (None, "")
        if answer is None:
            answer, finish = _read_document(response)
        return Reading(
            system=[*warnings, *system],
            context=context,
            tools=_tools(asked),
            answer=answer,
            finish=finish,
        )


def read_message(message: Mapping[str, object], names: dict[str, str]) -> Message:
    """Read one message; `names` learns the tool of each call and names the results."""
    role = text(message.get("role"))
    content = message.get("content")
    if role in ("tool", "function"):
        call = text(message.get("tool_call_id"))
        name = text(message.get("name")) or names.get(call, "")
        parts = _parts(content)
        shown = "".join([part.text for part in parts if part.kind == "text"])
        rest = [part for part in parts if part.kind != "text"]
        result = Part(kind="tool_result", text=shown, name=name, id=call)
        return Message(role=role, parts=[result, *rest])
    parts = [
        Part(kind="reasoning", text=thought)
        for thought in texts(*[message.get(name) for name in _REASONING])[:1]
    ]
    parts += _parts(content)
    parts += [Part(kind="text", text=refusal) for refusal in texts(message.get("refusal"))]
    for asked in _calls(message):
        names[asked.id] = asked.name
        parts.append(asked)
    return Message(role=role, parts=parts)


def _parts(content: object) -> list[Part]:
    if isinstance(content, str):
        return [Part(kind="text", text=content)] if content else []
    if not isinstance(content, list):
        return []
    return [_part(stated) for stated in content]


def _part(stated: object) -> Part:
    if isinstance(stated, str):
        return Part(kind="text", text=stated)
    part = record(stated)
    kind = text(part.get("type")) or "text"
    if kind in ("text", "refusal"):
        return Part(kind="text", text=plain(part.get(kind)))
    if kind in ("thinking", "reasoning"):
        return Part(kind="reasoning", text=plain(part.get(kind)))
    if kind in IMAGE_PARTS:
        place = part.get("image_url")
        return reading.image(record(place).get("url") or place)
    if kind in MEDIA_PARTS or kind == "file":
        file = record(part.get("file"))
        return Part(
            kind="media", text=text(file.get("filename")) or text(file.get("file_id")) or kind
        )
    return Part(kind="other", text=kind)


def _calls(message: Mapping[str, object]) -> list[Part]:
    calls = []
    for call in records(message.get("tool_calls")):
        body = record(call.get("function") or call.get("custom"))
        calls.append(_call(body, text(call.get("id"))))
    older = record(message.get("function_call"))
    return [*calls, _call(older, "")] if older else calls


def _call(body: Mapping[str, object], call: str) -> Part:
    arguments = plain(body.get("arguments") or body.get("input"))
    return Part(kind="tool_call", text=arguments, name=text(body.get("name")), id=call)


def _tools(asked: Mapping[str, object]) -> list[str]:
    names = []
    for tool in records(asked.get("tools")):
        body = record(tool.get("function") or tool.get("custom"))
        names.append(text(body.get("name")) or text(tool.get("type")))
    return [*names, *[text(tool.get("name")) for tool in records(asked.get("functions"))]]


def _read_document(response: bytes) -> tuple[Message | None, str]:
    stated = reading.lenient_load(response)
    if stated.get("error"):
        return reading.failure(stated["error"]), "error"
    choices = records(stated.get("choices"))
    messages = [read_message(record(choice.get("message")), {}) for choice in choices]
    finishes = texts(*[choice.get("finish_reason") for choice in choices])
    if not messages:
        return None, ""
    parts = [part for message in messages for part in message.parts]
    return Message(role="assistant", parts=parts), finishes[-1] if finishes else ""


class _Assembly:
    """One answer of a stream, put together from its deltas."""

    def __init__(self) -> None:
        self.reasoning: list[str] = []
        self.content: list[str] = []
        self.calls: dict[object, dict[str, str]] = {}
        self.finish = ""

    def add(self, choice: Mapping[str, object]) -> None:
        delta = record(choice.get("delta"))
        self.reasoning += texts(*[delta.get(name) for name in _REASONING])[:1]
        self.content += texts(delta.get("content"), delta.get("refusal"))
        for call in records(delta.get("tool_calls")):
            body = record(call.get("function") or call.get("custom"))
            self._add_call(call.get("index", len(self.calls)), text(call.get("id")), body)
        if delta.get("function_call"):
            self._add_call("older", "", record(delta["function_call"]))
        self.finish = text(choice.get("finish_reason")) or self.finish

    def _add_call(self, place: object, call: str, body: Mapping[str, object]) -> None:
        known = self.calls.setdefault(str(place), {"id": "", "name": "", "arguments": ""})
        known["id"] = known["id"] or call
        known["name"] += text(body.get("name"))
        known["arguments"] += text(body.get("arguments")) or text(body.get("input"))

    def parts(self) -> list[Part]:
        parts = [Part(kind="reasoning", text="".join(self.reasoning))] if self.reasoning else []
        if self.content:
            parts.append(Part(kind="text", text="".join(self.content)))
        return parts + [
            Part(kind="tool_call", text=call["arguments"], name=call["name"], id=call["id"])
            for call in self.calls.values()
        ]


def _read_stream(response: bytes) -> tuple[Message | None, str]:
    choices: dict[str, _Assembly] = {}
    failure: Message | None = None
    for chunk in reading.events(response):
        if chunk.get("error"):
            failure = reading.failure(chunk["error"])
        for choice in records(chunk.get("choices")):
            choices.setdefault(str(choice.get("index")), _Assembly()).add(choice)
    parts = [part for choice in choices.values() for part in choice.parts()]
    finishes = texts(*[choice.finish for choice in choices.values()])
    if failure is not None:
        return Message(role="assistant", parts=[*parts, *failure.parts]), "error"
    if not choices:
        return None, ""
    return Message(role="assistant", parts=parts), finishes[-1] if finishes else ""

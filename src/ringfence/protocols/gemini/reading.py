"""Gemini exchanges made readable for traces, from stored bytes; nothing is decided by it."""

from collections.abc import Mapping

from ringfence.domain.exchange import Message, Part, Reading
from ringfence.protocols.lenient import record, records, text
from ringfence.protocols.reading import events, lenient_load, load, plain

_JOINED = ("text", "reasoning")


class GeminiReader:
    """The dialect `gemini`; see `dialect.Reader`."""

    def read_exchange(self, request: bytes, response: bytes, *, streamed: bool) -> Reading:
        """Read a stored request and its stored answer; what cannot be read is left out."""
        asked, warnings = load(request)
        chunks = list(events(response)) if streamed else [lenient_load(response)]
        candidates = [found for chunk in chunks for found in records(chunk.get("candidates"))]
        finishes = [text(candidate.get("finishReason")) for candidate in candidates]
        return Reading(
            system=[
                *warnings,
                *_parts(_either(asked, "systemInstruction", "system_instruction")),
            ],
            context=[
                Message(role=text(content.get("role")) or "user", parts=_parts(content))
                for content in records(asked.get("contents"))
            ],
            tools=_tools(asked),
            answer=_answer(chunks, candidates),
            finish=next(filter(None, reversed(finishes)), "") or _block_reason(chunks),
        )


def _either(members: Mapping[str, object], *names: str) -> object:
    """A member under the first of its spellings that is there."""
    return next((members[name] for name in names if name in members), None)


def _tools(asked: Mapping[str, object]) -> list[str]:
    names: list[str] = []
    for tool in records(asked.get("tools")):
        declared = _either(tool, "functionDeclarations", "function_declarations")
        names += [text(function.get("name")) for function in records(declared)]
        names += [name for name in tool if not name.startswith("function")]
    return names


def _answer(
    chunks: list[Mapping[str, object]], candidates: list[Mapping[str, object]]
) -> Message | None:
    parts = _join([part for found in candidates for part in _parts(found.get("content"))])
    for chunk in chunks:
        error = record(chunk.get("error"))
        if error:
            what = ": ".join(filter(None, [text(error.get("status")), text(error.get("message"))]))
            parts.append(Part(kind="other", text=what))
    return Message(role="model", parts=parts) if parts else None


def _block_reason(chunks: list[Mapping[str, object]]) -> str:
    reasons = (text(record(chunk.get("promptFeedback")).get("blockReason")) for chunk in chunks)
    return next(filter(None, reasons), "")


def _join(parts: list[Part]) -> list[Part]:
    """Texts that came in pieces become one."""
    joined: list[Part] = []
    for part in parts:
        if joined and part.kind == joined[-1].kind and part.kind in _JOINED:
            joined[-1] = Part(kind=part.kind, text=joined[-1].text + part.text)
        else:
            joined.append(part)
    return joined


def _parts(content: object) -> list[Part]:
    return [_part(part) for part in records(record(content).get("parts"))]


def _part(part: Mapping[str, object]) -> Part:
    if "text" in part:
        kind = "reasoning" if part.get("thought") is True else "text"
        return Part(kind=kind, text=text(part["text"]))
    called = record(_either(part, "functionCall", "function_call"))
    if called:
        return _tool_part("tool_call", called, called.get("args"))
    result = record(_either(part, "functionResponse", "function_response"))
    if result:
        return _tool_part("tool_result", result, result.get("response"))
    blob = record(_either(part, "inlineData", "inline_data"))
    file = record(_either(part, "fileData", "file_data"))
    if blob or file:
        kind = text(_either(blob or file, "mimeType", "mime_type"))
        place = text(_either(file, "fileUri", "file_uri"))
        return Part(kind="image" if kind.startswith("image/") else "media", text=place or kind)
    return Part(kind="other", text=next(iter(part), ""))


def _tool_part(kind: str, called: Mapping[str, object], value: object) -> Part:
    return Part(
        kind=kind, name=text(called.get("name")), id=text(called.get("id")), text=plain(value)
    )

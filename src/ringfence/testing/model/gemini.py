"""Gemini: an emission as one document or as a stream of documents."""

from collections.abc import Iterator
from typing import Any

import msgspec

from ringfence.domain.usage import Usage
from ringfence.testing.model.emission import Call, Emission
from ringfence.testing.model.question import Question

_FINISH = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP", "refusal": "SAFETY"}
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}

Part = dict[str, Any]


def whole(emission: Emission) -> dict[str, Any]:
    """The document of an answer that is not streamed."""
    parts: list[Part] = []
    if emission.reasoning:
        parts.append(_thought(emission.reasoning.text))
    if emission.text:
        parts.append({"text": emission.text.text})
    parts.extend(_call(call) for call in emission.tool_calls)
    finish = _FINISH[emission.finish]
    candidates = [_candidate(index, parts, finish) for index in range(emission.answers)]
    return _document(emission, candidates, emission.usage)


def events(emission: Emission, _question: Question) -> Iterator[bytes]:
    """The events of a stream; the last one holds the usage."""
    for document in _documents(emission):
        yield b"data: " + msgspec.json.encode(document) + b"\r\n\r\n"


def array(emission: Emission) -> list[dict[str, Any]]:
    """The documents of a stream as Gemini gives them when `alt=sse` was not asked for."""
    return list(_documents(emission))


def usage(used: Usage) -> dict[str, Any]:
    """Counts as Gemini names them: candidates exclude thoughts, the prompt includes the cache."""
    counts = {
        "promptTokenCount": used.input_tokens,
        "candidatesTokenCount": max(0, used.output_tokens - used.reasoning_tokens),
        "totalTokenCount": used.input_tokens + used.output_tokens,
    }
    if used.reasoning_tokens:
        counts["thoughtsTokenCount"] = used.reasoning_tokens
    if used.cache_read_tokens:
        counts["cachedContentTokenCount"] = used.cache_read_tokens
    return counts


def error(status: int, message: str) -> dict[str, Any]:
    """The document of an error."""
    word = _STATUSES.get(status, "UNKNOWN")
    return {"error": {"code": status, "message": message, "status": word}}


def stream_error(message: str) -> bytes:
    """An error in the midst of a stream."""
    return b"data: " + msgspec.json.encode(error(500, message)) + b"\r\n\r\n"


def _documents(emission: Emission) -> Iterator[dict[str, Any]]:
    for index in range(emission.answers):
        for part in _parts(emission):
            yield _document(emission, [_candidate(index, [part], None)], None)
    finish = _FINISH[emission.finish]
    ending = [_candidate(index, [{"text": ""}], finish) for index in range(emission.answers)]
    yield _document(emission, ending, emission.usage)


def _parts(emission: Emission) -> Iterator[Part]:
    for piece in emission.reasoning:
        yield _thought(piece)
    for piece in emission.text:
        yield {"text": piece}
    for call in emission.tool_calls:
        yield _call(call)


def _thought(text: str) -> Part:
    return {"text": text, "thought": True}


def _call(call: Call) -> Part:
    """A whole call; Gemini sends arguments in one piece."""
    try:
        arguments = msgspec.json.decode(call.arguments)
    except msgspec.DecodeError:
        arguments = {"raw": call.arguments}
    return {"functionCall": {"id": f"call_{call.id}", "name": call.name, "args": arguments}}


def _candidate(index: int, parts: list[Part], finish: str | None) -> dict[str, Any]:
    candidate = {"index": index, "content": {"role": "model", "parts": parts}}
    return candidate if finish is None else {**candidate, "finishReason": finish}


def _document(
    emission: Emission, candidates: list[dict[str, Any]], used: Usage | None
) -> dict[str, Any]:
    document = {
        "candidates": candidates,
        "modelVersion": emission.model,
        "responseId": f"scripted{emission.number:06d}",
    }
    return document if used is None else {**document, "usageMetadata": usage(used)}

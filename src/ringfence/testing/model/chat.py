"""OpenAI Chat Completions: an emission as one document or as a stream of chunks."""

from collections.abc import Iterator
from typing import Any

import msgspec

from ringfence.domain.usage import Usage
from ringfence.testing.model.emission import CREATED_S, Call, Emission
from ringfence.testing.model.question import Question

_FINISH = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "refusal": "content_filter",
}


def whole(emission: Emission) -> dict[str, Any]:
    """The document of an answer that is not streamed."""
    message: dict[str, Any] = {"role": "assistant", "content": emission.text.text or None}
    if emission.reasoning:
        message["reasoning_content"] = emission.reasoning.text
    if emission.tool_calls:
        message["tool_calls"] = [_call(call) for call in emission.tool_calls]
    choice = {"message": message, "logprobs": None, "finish_reason": _FINISH[emission.finish]}
    document = _head(emission, "chat.completion")
    document["choices"] = [{"index": index, **choice} for index in range(emission.answers)]
    if emission.usage is not None:
        document["usage"] = usage(emission.usage)
    return document


def events(emission: Emission, question: Question) -> Iterator[bytes]:
    """The events of a stream; the usage comes last, and only if it was asked for."""
    head = _head(emission, "chat.completion.chunk")
    if question.wants_usage:
        head["usage"] = None
    for index in range(emission.answers):
        yield _chunk(head, index, {"role": "assistant", "content": ""})
        for piece in emission.reasoning:
            yield _chunk(head, index, {"reasoning_content": piece})
        for piece in emission.text:
            yield _chunk(head, index, {"content": piece})
        for place, call in enumerate(emission.tool_calls):
            for delta in _call_deltas(place, call):
                yield _chunk(head, index, {"tool_calls": [delta]})
        yield _chunk(head, index, {}, _FINISH[emission.finish])
    if question.wants_usage and emission.usage is not None:
        yield _event({**head, "choices": [], "usage": usage(emission.usage)})
    yield b"data: [DONE]\n\n"


def usage(used: Usage) -> dict[str, Any]:
    """Counts as OpenAI names them; the prompt includes what was cached."""
    return {
        "prompt_tokens": used.input_tokens,
        "completion_tokens": used.output_tokens,
        "total_tokens": used.input_tokens + used.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": used.cache_read_tokens,
            "cache_write_tokens": used.cache_write_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": used.reasoning_tokens},
    }


def error(status: int, message: str) -> dict[str, Any]:
    """The document of an error."""
    kind = "invalid_request_error" if status < 500 else "server_error"  # noqa: PLR2004 (5xx)
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def stream_error(message: str) -> bytes:
    """An error in the midst of a stream."""
    return _event(error(500, message))


def _head(emission: Emission, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-scripted-{emission.number:06d}",
        "object": kind,
        "created": CREATED_S,
        "model": emission.model,
        "service_tier": "default",
        "system_fingerprint": "scripted",
    }


def _call(call: Call) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": f"call_{call.id}", "type": "function", "function": function}


def _call_deltas(place: int, call: Call) -> Iterator[dict[str, Any]]:
    opening = _call(call)
    opening["function"]["arguments"] = ""
    yield {"index": place, **opening}
    for piece in call.pieces:
        yield {"index": place, "function": {"arguments": piece}}


def _chunk(
    head: dict[str, Any], index: int, delta: dict[str, Any], finish: str | None = None
) -> bytes:
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
    return _event({**head, "choices": [choice]})


def _event(document: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(document) + b"\n\n"

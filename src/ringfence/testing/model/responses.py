"""OpenAI Responses: an emission as one document or as a stream of events."""

import base64
from collections.abc import Iterator
from typing import Any

import msgspec

from ringfence.domain.usage import Usage
from ringfence.testing.model.chat import error
from ringfence.testing.model.emission import CREATED_S, Call, Emission, Tokens
from ringfence.testing.model.question import Question

__all__ = ["error", "events", "stream_error", "usage", "whole"]

_INCOMPLETE = {"length": "max_output_tokens", "refusal": "content_filter"}

Item = dict[str, Any]


def whole(emission: Emission) -> dict[str, Any]:
    """The document of an answer that is not streamed."""
    document = _head(emission)
    reason = _INCOMPLETE.get(emission.finish)
    document["status"] = "incomplete" if reason else "completed"
    document["incomplete_details"] = {"reason": reason} if reason else None
    document["output"] = list(_items(emission))
    if emission.usage is not None:
        document["usage"] = usage(emission.usage)
    return document


def events(emission: Emission, _question: Question) -> Iterator[bytes]:
    """The events of a stream, numbered from 0."""
    for number, event in enumerate(_events(emission)):
        kind = event["type"]
        data = msgspec.json.encode({**event, "sequence_number": number})
        yield b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"


def usage(used: Usage) -> dict[str, Any]:
    """Counts as OpenAI names them; the input includes what was cached."""
    return {
        "input_tokens": used.input_tokens,
        "input_tokens_details": {
            "cached_tokens": used.cache_read_tokens,
            "cache_write_tokens": used.cache_write_tokens,
        },
        "output_tokens": used.output_tokens,
        "output_tokens_details": {"reasoning_tokens": used.reasoning_tokens},
        "total_tokens": used.input_tokens + used.output_tokens,
    }


def stream_error(message: str) -> bytes:
    """An error in the midst of a stream."""
    event = {"type": "error", "code": "server_error", "message": message, "param": None}
    return b"event: error\ndata: " + msgspec.json.encode(event) + b"\n\n"


def _head(emission: Emission) -> dict[str, Any]:
    return {
        "id": f"resp_scripted{emission.number:06d}",
        "object": "response",
        "created_at": CREATED_S,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": emission.model,
        "output": [],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": None,
    }


def _items(emission: Emission) -> Iterator[Item]:
    if emission.reasoning:
        yield _reasoning(emission, emission.reasoning.text)
    if emission.text or not emission.tool_calls:
        yield _message(emission, emission.text.text)
    for call in emission.tool_calls:
        yield _call(call, call.arguments, "completed")


def _reasoning(emission: Emission, text: str) -> Item:
    summary = [{"type": "summary_text", "text": text}] if text else []
    sealed = base64.b64encode(text.encode()).decode() if emission.is_reasoning_sealed else None
    return {
        "type": "reasoning",
        "id": f"rs_scripted{emission.number:06d}",
        "summary": summary,
        **({"encrypted_content": sealed} if sealed else {}),
    }


def _message(emission: Emission, text: str | None) -> Item:
    """A whole message; None gives one that has just begun."""
    return {
        "type": "message",
        "id": f"msg_scripted{emission.number:06d}",
        "role": "assistant",
        "status": "in_progress" if text is None else "completed",
        "content": [] if text is None else [_text_part(text)],
    }


def _text_part(text: str) -> Item:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _call(call: Call, arguments: str, status: str) -> Item:
    item = {"id": f"fc_{call.id}", "call_id": f"call_{call.id}", "name": call.name}
    if call.namespace:
        item["namespace"] = call.namespace
    if call.is_custom:
        return {"type": "custom_tool_call", **item, "status": status, "input": arguments}
    return {"type": "function_call", **item, "status": status, "arguments": arguments}


def _events(emission: Emission) -> Iterator[dict[str, Any]]:
    yield {"type": "response.created", "response": _head(emission)}
    yield {"type": "response.in_progress", "response": _head(emission)}
    index = 0
    if emission.reasoning:
        yield from _reasoning_events(emission, index)
        index += 1
    if emission.text or not emission.tool_calls:
        yield from _message_events(emission, index)
        index += 1
    for call in emission.tool_calls:
        yield from _call_events(call, index)
        index += 1
    final = whole(emission)
    yield {"type": f"response.{final['status']}", "response": final}


def _reasoning_events(emission: Emission, index: int) -> Iterator[dict[str, Any]]:
    empty = _reasoning(emission, "")
    place = {"item_id": empty["id"], "output_index": index, "summary_index": 0}
    part = {"type": "summary_text", "text": ""}
    kind = "response.reasoning_summary"
    yield {"type": "response.output_item.added", "output_index": index, "item": empty}
    yield {"type": f"{kind}_part.added", **place, "part": part}
    yield from _deltas(f"{kind}_text.delta", place, emission.reasoning)
    text = emission.reasoning.text
    yield {"type": f"{kind}_text.done", **place, "text": text}
    yield {"type": f"{kind}_part.done", **place, "part": {**part, "text": text}}
    item = _reasoning(emission, text)
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _message_events(emission: Emission, index: int) -> Iterator[dict[str, Any]]:
    empty = _message(emission, None)
    place = {"item_id": empty["id"], "output_index": index, "content_index": 0}
    yield {"type": "response.output_item.added", "output_index": index, "item": empty}
    yield {"type": "response.content_part.added", **place, "part": _text_part("")}
    logged = {**place, "logprobs": []}
    yield from _deltas("response.output_text.delta", logged, emission.text)
    text = emission.text.text
    yield {"type": "response.output_text.done", **logged, "text": text}
    yield {"type": "response.content_part.done", **place, "part": _text_part(text)}
    item = _message(emission, text)
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _call_events(call: Call, index: int) -> Iterator[dict[str, Any]]:
    empty = _call(call, "", "in_progress")
    place = {"item_id": empty["id"], "output_index": index}
    stem, field = (
        ("response.custom_tool_call_input", "input")
        if call.is_custom
        else ("response.function_call_arguments", "arguments")
    )
    yield {"type": "response.output_item.added", "output_index": index, "item": empty}
    yield from _deltas(f"{stem}.delta", place, call.pieces)
    yield {"type": f"{stem}.done", **place, field: call.arguments, "name": call.name}
    item = _call(call, call.arguments, "completed")
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _deltas(kind: str, place: dict[str, Any], tokens: Tokens) -> Iterator[dict[str, Any]]:
    return ({"type": kind, **place, "delta": piece} for piece in tokens)

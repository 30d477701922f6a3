"""Anthropic Messages: an emission as one document or as a stream of events."""

import base64
from collections.abc import Iterator
from typing import Any

import msgspec

from ringfence.domain.usage import Usage
from ringfence.testing.model.emission import Call, Emission
from ringfence.testing.model.question import MalformedError, Question

_OLD_VERSION = b"2023-06-01"
_NEW_VERSION = b"2026-10-21"  # sent by the anthropic SDK since 2.0
_REFUSED_BY_NEW = ("temperature", "top_p", "top_k")

_FINISH = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "refusal": "refusal",
}
_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_SIGNATURE = base64.b64encode(b"scripted").decode()


def check_version(version: bytes | None, body: bytes) -> None:
    """Refuse what this version of the API refuses. Raises MalformedError."""
    if version is None:
        raise MalformedError("anthropic-version: header is required")
    if version not in {_OLD_VERSION, _NEW_VERSION}:
        raise MalformedError(f"anthropic-version: `{version.decode('latin-1')}` is not a version")
    if version == _NEW_VERSION:
        document = msgspec.json.decode(body)
        for name in _REFUSED_BY_NEW:
            if document.get(name) is not None:
                raise MalformedError(f"{name}: not supported in this version")


def whole(emission: Emission) -> dict[str, Any]:
    """The document of an answer that is not streamed."""
    document = _head(emission)
    document["content"] = list(_blocks(emission))
    document["stop_reason"] = _FINISH[emission.finish]
    if emission.usage is not None:
        document["usage"] = usage(emission.usage)
    return document


def events(emission: Emission, _question: Question) -> Iterator[bytes]:
    """The events of a stream: what goes in is counted at its start, what comes out at its end."""
    head = _head(emission)
    used = emission.usage
    if used is not None:
        head["usage"] = {**usage(used), "output_tokens": min(1, used.output_tokens)}
    yield _event("message_start", message=head)
    yield _event("ping")
    for index, (empty, deltas) in enumerate(_streamed_blocks(emission)):
        yield _event("content_block_start", index=index, content_block=empty)
        for delta in deltas:
            yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)
    ending: dict[str, Any] = {
        "delta": {"stop_reason": _FINISH[emission.finish], "stop_sequence": None}
    }
    if used is not None:
        ending["usage"] = usage(used)
    yield _event("message_delta", **ending)
    yield _event("message_stop")


def usage(used: Usage) -> dict[str, Any]:
    """Counts as Anthropic names them; the input excludes what was cached."""
    cached = used.cache_read_tokens + used.cache_write_tokens
    kept_1h = used.cache_write_1h_tokens
    return {
        "input_tokens": max(0, used.input_tokens - cached),
        "output_tokens": used.output_tokens,
        "cache_read_input_tokens": used.cache_read_tokens,
        "cache_creation_input_tokens": used.cache_write_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": max(0, used.cache_write_tokens - kept_1h),
            "ephemeral_1h_input_tokens": kept_1h,
        },
        "output_tokens_details": {"thinking_tokens": used.reasoning_tokens},
        "service_tier": "standard",
    }


def error(status: int, message: str) -> dict[str, Any]:
    """The document of an error."""
    kind = _ERRORS.get(status) or ("api_error" if status >= 500 else "invalid_request_error")  # noqa: PLR2004 (5xx)
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": None}


def stream_error(message: str) -> bytes:
    """An error in the midst of a stream."""
    return _event("error", error={"type": "api_error", "message": message})


def _head(emission: Emission) -> dict[str, Any]:
    return {
        "id": f"msg_scripted{emission.number:06d}",
        "type": "message",
        "role": "assistant",
        "model": emission.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _blocks(emission: Emission) -> Iterator[dict[str, Any]]:
    if emission.reasoning:
        yield {"type": "thinking", "thinking": emission.reasoning.text, "signature": _SIGNATURE}
    if emission.text or not emission.tool_calls:
        yield {"type": "text", "text": emission.text.text}
    for call in emission.tool_calls:
        block = {"type": "tool_use", "id": f"toolu_{call.id}", "name": call.name}
        yield {**block, "input": _input(call)}


def _input(call: Call) -> object:
    """The arguments as the object they stand for; text that is none is given as `raw`."""
    try:
        return msgspec.json.decode(call.arguments)
    except msgspec.DecodeError:
        return {"raw": call.arguments}


def _streamed_blocks(
    emission: Emission,
) -> Iterator[tuple[dict[str, Any], Iterator[dict[str, Any]]]]:
    """Each block as it starts, and what is then added to it."""
    if emission.reasoning:
        yield {"type": "thinking", "thinking": "", "signature": ""}, _thinking(emission)
    if emission.text or not emission.tool_calls:
        text = ({"type": "text_delta", "text": piece} for piece in emission.text)
        yield {"type": "text", "text": ""}, text
    for call in emission.tool_calls:
        block = {"type": "tool_use", "id": f"toolu_{call.id}", "name": call.name, "input": {}}
        yield block, ({"type": "input_json_delta", "partial_json": p} for p in call.pieces)


def _thinking(emission: Emission) -> Iterator[dict[str, Any]]:
    for piece in emission.reasoning:
        yield {"type": "thinking_delta", "thinking": piece}
    yield {"type": "signature_delta", "signature": _SIGNATURE}


def _event(kind: str, **fields: object) -> bytes:
    data = msgspec.json.encode({"type": kind, **fields})
    return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"

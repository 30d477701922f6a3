"""OpenAI Responses: its requests read and rewritten, its answers and errors.

Source: https://platform.openai.com/docs/api-reference/responses and the openai SDK 3.52.0.
"""

from typing import Final

import msgspec

from ringfence.domain.exchange import Answer, ModelRequest
from ringfence.domain.model import Dialect
from ringfence.domain.verdict import Reason
from ringfence.protocols import refusal, sse, strict_json
from ringfence.protocols.field import Findings
from ringfence.protocols.memo import Memo
from ringfence.protocols.request import (
    LocatedRequest,
    count_of,
    cut,
    flag_of,
    limit_of,
    located,
    model_edits,
    spans_of,
)
from ringfence.protocols.responses import item
from ringfence.protocols.responses.answer import read_answer
from ringfence.protocols.responses.field import FIELDS
from ringfence.protocols.responses.stream import ResponsesStream
from ringfence.protocols.responses.tool import read_tools
from ringfence.protocols.strict_json import Span

_LIMIT: Final = "max_output_tokens"
_STOP_CODE: Final = "invalid_prompt"
_STOP_SEQUENCE: Final = 2**31 - 1
"""Higher than any event before it, as sequence numbers must rise; no answer has as many events."""


class ResponsesCodec:
    """The dialect of `/v1/responses`."""

    def __init__(self) -> None:
        """Keep one codec; it remembers tool lists between calls."""
        self._tools: Memo[Findings] = Memo(read_tools)

    def parse(
        self, body: bytes, *, path_model: str = "", path_stream: bool = False
    ) -> LocatedRequest:
        """Read a request strictly. Raises PeerError `request_malformed`."""
        del path_model, path_stream  # this dialect has both in the body
        return strict_json.shallow(self._parse, body)

    def rewrite(
        self, request: ModelRequest, *, model: str, output_limit: int | None, inject_usage: bool
    ) -> bytes:
        """Give the body to send: every byte as it came except what is named here."""
        del inject_usage  # every stream of this dialect ends with its usage
        body, found = request.body, spans_of(request)
        edits = model_edits(request, found, model)
        if output_limit is not None:
            edits += strict_json.assign(body, found, _LIMIT, strict_json.encode(output_limit))
        return strict_json.replace(body, edits)

    def read(self, body: bytes) -> Answer:
        """Read a whole answer. Raises PeerError `provider_malformed`."""
        return read_answer(body)

    def stream(self, request: ModelRequest) -> ResponsesStream:
        """A fresh reader for the stream that answers this request."""
        found = spans_of(request)
        start, end = found.get("store", (0, 0))
        return ResponsesStream(keeps=request.body[start:end] != b"false")

    def error_body(self, status: int, reason: Reason) -> bytes:
        """The dialect's error document for a refusal of ours."""
        return refusal.error_body(Dialect.RESPONSES, status, reason)

    def stream_stop(self, reason: Reason) -> bytes:
        """One event that every client understands: a failed response that also is an error.

        Codex shows the message of a failed response whose code is `invalid_prompt`, and repeats the
        request for any other; the openai SDK raises at any event with an `error`.
        """
        error = {**refusal.openai_error(reason), "code": _STOP_CODE}
        event = {
            "type": "response.failed",
            "sequence_number": _STOP_SEQUENCE,
            "response": {
                "id": "resp_stopped",
                "object": "response",
                "created_at": 0,
                "status": "failed",
                "error": {"code": _STOP_CODE, "message": reason.message},
                "output": [],
            },
            "error": error,
        }
        return sse.write(msgspec.json.encode(event), b"response.failed")

    def stream_comment(self) -> bytes:
        """A keep-alive that every client of this dialect ignores."""
        return sse.COMMENT

    def _parse(self, body: bytes) -> LocatedRequest:
        found = strict_json.spans(body)
        findings = Findings()
        FIELDS.refuse_lookalikes(found)
        FIELDS.collect(body, found, findings)
        if _has(body, found, "tools"):
            start, end = found["tools"]
            findings.merge(self._tools.read(body[start:end]))
        if _is_array(body, found, "instructions"):
            _read_items(body, found["instructions"], findings)
        return located(
            Dialect.RESPONSES,
            body,
            found,
            findings,
            _read_input(body, found, findings),
            stream=flag_of(body, found, "stream"),
            output_limit=limit_of(body, found, _LIMIT),
            hosted_uses=count_of(body, found, "max_tool_calls"),
        )


def _read_input(
    body: bytes, found: dict[str, Span], findings: Findings
) -> tuple[tuple[bytes, ...], tuple[Span, ...]]:
    """The items of the input; a plain text is one item."""
    if not _has(body, found, "input"):
        return (), ()
    if _is_array(body, found, "input"):
        return _read_items(body, found["input"], findings)
    start, end = found["input"]
    strict_json.text(body[start:end], "input")
    return cut(body, [(start, end)])


def _read_items(
    body: bytes, span: Span, findings: Findings
) -> tuple[tuple[bytes, ...], tuple[Span, ...]]:
    items = cut(body, strict_json.elements(body, *span))
    item.inspect(body, span, items[0], findings)
    return items


def _has(body: bytes, found: dict[str, Span], name: str) -> bool:
    start, end = found.get(name, (0, 0))
    return start != end and body[start:end] != b"null"


def _is_array(body: bytes, found: dict[str, Span], name: str) -> bool:
    return name in found and body.startswith(b"[", found[name][0])

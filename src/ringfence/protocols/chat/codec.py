"""OpenAI Chat Completions: its requests read and rewritten, its answers and errors.

Source: https://platform.openai.com/docs/api-reference/chat and the openai SDK 3.52.0.
"""

from typing import Final, Literal

import msgspec

from ringfence.domain.exchange import Answer, ModelRequest
from ringfence.domain.model import Dialect
from ringfence.domain.verdict import Reason
from ringfence.protocols import refusal, sse, strict_json
from ringfence.protocols.chat import message
from ringfence.protocols.chat.answer import read_answer
from ringfence.protocols.chat.field import FIELDS
from ringfence.protocols.chat.stream import ChatStream
from ringfence.protocols.chat.tool import read_functions, read_tools
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
from ringfence.protocols.strict_json import Edit, Span

LimitField = Literal["max_completion_tokens", "max_tokens"]

_LIMITS: Final = ("max_completion_tokens", "max_tokens")
_ANSWERS: Final = frozenset({"n", "best_of"})
_ASK_USAGE: Final = b'{"include_usage":true}'


class ChatCodec:
    """The dialect of `/v1/chat/completions`.

    `limit_field` is the name under which an output limit is written when the client gave none.
    OpenAI's reasoning models refuse `max_tokens`; older compatible servers know nothing else, and
    would silently ignore the newer name. A limit the client gave keeps its name.
    """

    def __init__(self, *, limit_field: LimitField = "max_completion_tokens") -> None:
        """Keep one codec for each kind of server; it remembers tool lists between calls."""
        self._limit_field = limit_field
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
        body, found = request.body, spans_of(request)
        edits = model_edits(request, found, model)
        if output_limit is not None:
            value = strict_json.encode(output_limit)
            for name in self._limit_names(body, found):
                edits += strict_json.assign(body, found, name, value)
        if inject_usage and request.stream and not request.wants_usage:
            edits += _ask_usage(body, found)
        return strict_json.replace(body, edits)

    def read(self, body: bytes) -> Answer:
        """Read a whole answer. Raises PeerError `provider_malformed`."""
        return read_answer(body)

    def stream(self, request: ModelRequest) -> ChatStream:
        """A fresh reader for the stream that answers this request."""
        return ChatStream(strips_usage=not request.wants_usage)

    def error_body(self, status: int, reason: Reason) -> bytes:
        """The dialect's error document for a refusal of ours."""
        return refusal.error_body(Dialect.CHAT, status, reason)

    def stream_stop(self, reason: Reason) -> bytes:
        """The in-stream error, at which SDKs raise with our message; then the usual end."""
        error = msgspec.json.encode({"error": refusal.openai_error(reason)})
        return sse.write(error) + sse.write(b"[DONE]")

    def stream_comment(self) -> bytes:
        """A keep-alive that every client of this dialect ignores."""
        return sse.COMMENT

    def _parse(self, body: bytes) -> LocatedRequest:
        found = strict_json.spans(body)
        findings = Findings()
        FIELDS.refuse_lookalikes(found)
        FIELDS.collect(body, found, findings)
        self._read_tools(body, found, findings)
        if "messages" not in found:
            strict_json.refuse("`messages` is missing")
        span = found["messages"]
        messages = cut(body, strict_json.elements(body, *span))
        message.inspect(body, span, messages[0], findings)
        return located(
            Dialect.CHAT,
            body,
            found,
            findings,
            messages,
            stream=flag_of(body, found, "stream"),
            output_limit=_output_limit(body, found),
            answers=_answers(body, found),
            wants_usage=_wants_usage(body, found),
        )

    def _read_tools(self, body: bytes, found: dict[str, Span], findings: Findings) -> None:
        if "tools" in found:
            start, end = found["tools"]
            if body[start:end] != b"null":
                findings.merge(self._tools.read(body[start:end]))
        if "functions" in found:
            start, end = found["functions"]
            if body[start:end] != b"null":
                findings.tools += read_functions(body[start:end])

    def _limit_names(self, body: bytes, found: dict[str, Span]) -> list[str]:
        """Under which names the limit is written: those that the client used."""
        given = [name for name in _LIMITS if count_of(body, found, name) is not None]
        return given or [self._limit_field]


def _answers(body: bytes, found: dict[str, Span]) -> int:
    if _ANSWERS.isdisjoint(found):
        return 1
    return max(count_of(body, found, "n") or 1, count_of(body, found, "best_of") or 1)


def _output_limit(body: bytes, found: dict[str, Span]) -> int | None:
    newer = limit_of(body, found, "max_completion_tokens")
    older = limit_of(body, found, "max_tokens")
    if newer is not None and older is not None and newer != older:
        strict_json.refuse("`max_tokens` and `max_completion_tokens` differ; give one of them")
    return older if newer is None else newer


def _wants_usage(body: bytes, found: dict[str, Span]) -> bool:
    return "stream_options" in found and flag_of(
        body, _stream_options(body, found), "include_usage"
    )


def _stream_options(body: bytes, found: dict[str, Span]) -> dict[str, Span]:
    if "stream_options" not in found:
        return {}
    start, end = found["stream_options"]
    if body[start:end] == b"null":
        return {}
    return strict_json.spans_within(body, start, end)


def _ask_usage(body: bytes, found: dict[str, Span]) -> list[Edit]:
    options = _stream_options(body, found)
    if "include_usage" in options:
        return [(*options["include_usage"], b"true")]
    start, end = found.get("stream_options", (0, 0))
    if start == end or body[start:end] == b"null":
        return strict_json.assign(body, found, "stream_options", _ASK_USAGE)
    return [strict_json.insertion(body, start, "include_usage", b"true")]

"""Anthropic Messages: its requests read and rewritten, its answers and errors.

Source: https://docs.anthropic.com/en/api/messages and the anthropic SDK 2.11.0.
"""

from typing import Final

import msgspec

from ringfence.domain.error import PeerError
from ringfence.domain.exchange import Answer, ModelRequest
from ringfence.domain.model import Dialect
from ringfence.domain.verdict import Code, Reason
from ringfence.protocols import refusal, sse, strict_json
from ringfence.protocols.field import Findings
from ringfence.protocols.memo import Memo
from ringfence.protocols.messages import message, tool
from ringfence.protocols.messages.answer import read_answer
from ringfence.protocols.messages.field import FIELDS
from ringfence.protocols.messages.stream import MessagesStream
from ringfence.protocols.request import (
    LocatedRequest,
    count_of,
    cut,
    flag_of,
    located,
    model_edits,
    spans_of,
)
from ringfence.protocols.strict_json import Edit, Span

MIN_THINKING_TOKENS: Final = 1024
"""The least `thinking.budget_tokens`, which must also be below `max_tokens` (SDK 2.11.0,
`ThinkingConfigEnabledParam`)."""

_PING: Final = sse.write(b'{"type":"ping"}', b"ping")
_SESSION_SUFFIX: Final = "_session_"


class _RunIds(msgspec.Struct):
    """What is read of the JSON that Claude Code puts into `metadata.user_id`."""

    session_id: str = ""


_run_ids: Final = msgspec.json.Decoder(_RunIds)


class MessagesCodec:
    """The dialect of `/v1/messages`."""

    def __init__(self) -> None:
        """Keep one codec; it remembers tool lists between calls."""
        self._tools: Memo[Findings] = Memo(tool.read_tools)

    def parse(
        self, body: bytes, *, path_model: str = "", path_stream: bool = False
    ) -> LocatedRequest:
        """Read a request strictly. Raises PeerError `request_malformed`.

        An output limit that is missing, which the API would refuse, is left to the gateway.
        """
        del path_model, path_stream  # this dialect has both in the body
        found = strict_json.spans(body)
        return located(
            Dialect.MESSAGES,
            body,
            found,
            *self.inspect(body, found),
            stream=flag_of(body, found, "stream"),
            output_limit=count_of(body, found, "max_tokens"),
        )

    def inspect(
        self, body: bytes, found: dict[str, Span]
    ) -> tuple[Findings, tuple[tuple[bytes, ...], tuple[Span, ...]]]:
        """Read what requests for an answer and for a count have in common."""
        findings = Findings()
        FIELDS.collect(body, found, findings)
        tools = _present(body, found, "tools")
        if tools:
            known = self._tools.read(tools)
            findings.tools += known.tools
            findings.hosted += known.hosted
            findings.hosted_uses += known.hosted_uses
        servers = _present(body, found, "mcp_servers")
        if servers:
            tool.read_servers(servers, findings)
        if "messages" not in found:
            strict_json.refuse("`messages` is missing")
        span = found["messages"]
        messages = cut(body, strict_json.elements(body, *span))
        message.inspect(body[slice(*span)], messages[0], findings)
        system = _present(body, found, "system")
        if system:
            message.inspect_system(system, findings)
        findings.client_ids += _client_ids(body, found)
        return findings, messages

    def rewrite(
        self, request: ModelRequest, *, model: str, output_limit: int | None, inject_usage: bool
    ) -> bytes:
        """Give the body to send: every byte as it came except what is named here.

        If the output limit falls to the thinking budget or below it, the budget becomes one less.
        Raises PeerError `limit_reached` if that is less than the API accepts.
        """
        del inject_usage  # this dialect always sends it
        body, found = request.body, spans_of(request)
        edits = model_edits(request, found, model)
        if output_limit is not None and output_limit != request.output_limit:
            edits += strict_json.assign(body, found, "max_tokens", strict_json.encode(output_limit))
            edits += _thinking_edits(body, found, output_limit)
        return strict_json.replace(body, edits)

    def read(self, body: bytes) -> Answer:
        """Read a whole answer. Raises PeerError `provider_malformed`."""
        return read_answer(body)

    def stream(self, request: ModelRequest) -> MessagesStream:
        """A fresh reader for the stream that answers this request."""
        del request  # all streams are read alike
        return MessagesStream()

    def error_body(self, status: int, reason: Reason) -> bytes:
        """The dialect's error document for a refusal of ours."""
        return refusal.error_body(Dialect.MESSAGES, status, reason)

    def stream_stop(self, reason: Reason) -> bytes:
        """The in-stream error, at which SDKs raise with our message (measured)."""
        return sse.write(self.error_body(0, reason), b"error")

    def stream_comment(self) -> bytes:
        """The API's own `ping`, of which a stream may have any number at any place."""
        return _PING


def _present(body: bytes, found: dict[str, Span], name: str) -> bytes:
    """The raw value of a member; empty if it is absent or null."""
    if name not in found:
        return b""
    start, end = found[name]
    raw = body[start:end]
    return b"" if raw == b"null" else raw


def _client_ids(body: bytes, found: dict[str, Span]) -> list[tuple[str, str]]:
    if not _present(body, found, "metadata").startswith(b"{"):
        return []
    metadata = strict_json.spans_within(body, *found["metadata"])
    raw = _present(body, metadata, "user_id")
    session = _session_id(strict_json.text(raw, "user_id")) if raw else ""
    return [("session_id", session)] if session else []


def _session_id(user_id: str) -> str:
    """Claude Code's session: a member of a JSON text, in older releases a suffix."""
    if not user_id.startswith("{"):
        return user_id.rpartition(_SESSION_SUFFIX)[2] if _SESSION_SUFFIX in user_id else ""
    try:
        return _run_ids.decode(user_id).session_id
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return ""


def _thinking_edits(body: bytes, found: dict[str, Span], output_limit: int) -> list[Edit]:
    if not _present(body, found, "thinking").startswith(b"{"):
        return []
    thinking = strict_json.spans_within(body, *found["thinking"])
    budget = count_of(body, thinking, "budget_tokens")
    if budget is None or budget < output_limit:
        return []
    if output_limit <= MIN_THINKING_TOKENS:
        raise PeerError(
            Code.LIMIT_REACHED,
            f"the output limit of {output_limit} tokens that is left does not admit thinking,"
            f" which needs more than {MIN_THINKING_TOKENS}",
            help="turn `thinking` off, or ask for a larger limit or budget",
        )
    return [(*thinking["budget_tokens"], strict_json.encode(output_limit - 1))]

"""Reads what a tool server answers over HTTP: one document, or a stream of messages."""

from collections.abc import Callable
from typing import Final, final

import msgspec

from ringfence.domain.error import PeerError, RingfenceError, UnavailableError, UnsentError
from ringfence.gateways.tool.channel import Failure, How, Taker
from ringfence.protocols import sse
from ringfence.protocols.mcp.message import Envelope, Kind, open_envelope
from ringfence.transport.http import UpstreamResponse

ANSWER_BYTES: Final = 64 * 1024 * 1024
_ANSWERS: Final = range(200, 300)
_STREAM: Final = b"text/event-stream"


class Ended(Exception):  # noqa: N818 (no error: the server means to go on)
    """A stream ended before its answer, and can be resumed after `event_id`."""

    def __init__(self, event_id: bytes, retry_ms: int | None) -> None:
        """`retry_ms` is how long the server wants to be left alone."""
        super().__init__(event_id)
        self.event_id = event_id
        self.retry_ms = retry_ms


OnEnd = Callable[[Exception | None], None]
"""Told once how an answer ended: None with its answer, else why there is none."""


@final
class ReplyReader:
    """A `transport.http.Sink` that cuts an answer into messages.

    `number` is the id whose answer is waited for; without it every message is only told.
    """

    __slots__ = (
        "_is_stream",
        "_number",
        "_on_end",
        "_parts",
        "_size",
        "_splitter",
        "_taker",
        "_upstream",
        "event_id",
        "retry_ms",
    )

    def __init__(
        self, upstream: UpstreamResponse, number: bytes, taker: Taker, on_end: OnEnd
    ) -> None:
        """The head has come."""
        self._upstream = upstream
        self._number = number
        self._taker = taker
        self._on_end = on_end
        self._is_stream = content_type(upstream) == _STREAM
        self._splitter = sse.Splitter() if self._is_stream else None
        self._parts: list[bytes] = []
        self._size = 0
        self.event_id = b""
        self.retry_ms: int | None = None

    def data(self, chunk: bytes) -> None:
        """Take some bytes."""
        self._size += len(chunk)
        try:
            if self._splitter is None:
                if self._size > ANSWER_BYTES:
                    raise _malformed(f"the answer is larger than {ANSWER_BYTES} bytes")
                self._parts.append(chunk)
                return
            for event in self._splitter.feed(chunk):
                if self._take_event(event):
                    return
        except RingfenceError as error:
            self._fail(error)

    def end(self) -> None:
        """That was all."""
        if self._splitter is None:
            self._take_document()
        elif self.event_id and self._number:
            self._on_end(Ended(self.event_id, self.retry_ms))
        else:
            what = "the tool server ended its stream without an answer"
            self._on_end(PeerError("provider_malformed", what))

    def failed(self, error: Exception) -> None:
        """It broke off."""
        self._on_end(error)

    def _take_document(self) -> None:
        raw = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        try:
            if not raw:
                raise _malformed("the tool server's answer is empty")
            self._take(raw)
        except RingfenceError as error:
            self._on_end(error)

    def _take_event(self, event: bytes) -> bool:
        """Take one event; whether it was the answer."""
        data = sse.data_of(event)
        if b"id:" in event or b"retry:" in event:
            mark = sse.mark(event)
            self.event_id = mark.id or self.event_id
            if mark.retry_ms is not None:
                self.retry_ms = mark.retry_ms
            if mark.id:
                self._taker.marked(mark.id, mark.retry_ms, is_alone=not data)
        return bool(data) and self._take(data or b"")

    def _take(self, raw: bytes) -> bool:
        envelope = open_envelope(raw)
        if envelope.kind is not Kind.RESPONSE:
            self._taker.said(raw, envelope)
            return False
        is_ours = bool(self._number) and same_id(bytes(envelope.id), self._number)
        if not is_ours and (self._upstream.status in _ANSWERS or not _is_about_nobody(envelope)):
            return False
        self._on_end(None)
        self._taker.replied(raw, envelope, How(self._upstream.status, self._is_stream))
        return True

    def _fail(self, error: RingfenceError) -> None:
        self._upstream.close()
        self._on_end(error)


def content_type(upstream: UpstreamResponse) -> bytes:
    """The type of an answer's body, without parameters."""
    for name, value in upstream.headers:
        if name == b"content-type":
            return value.partition(b";")[0].strip().lower()
    return b""


def header(upstream: UpstreamResponse, name: bytes) -> str:
    """A header of an answer; empty if there is none."""
    for known, value in upstream.headers:
        if known == name:
            return value.decode("latin-1")
    return ""


def same_id(one: bytes, other: bytes) -> bool:
    """Whether two raw ids are the same id."""
    if one == other:
        return True
    try:
        return bool(msgspec.json.decode(one) == msgspec.json.decode(other))
    except msgspec.DecodeError:
        return False


def failure_of(error: Exception, status: int = 0, retry_after: str = "") -> Failure:
    """What a request's end without an answer was. Raises what nobody has foreseen."""
    if not isinstance(error, RingfenceError):
        raise error
    return Failure(
        error=error,
        status=status,
        retry_after=retry_after,
        was_sent=not isinstance(error, UnsentError),
    )


def refused_with(upstream: UpstreamResponse) -> Failure:
    """A status of HTTP instead of an answer of the protocol."""
    error = UnavailableError(
        f"http_{upstream.status}", f"the tool server answered with status {upstream.status}"
    )
    retry_after = header(upstream, b"retry-after")
    return Failure(error=error, status=upstream.status, retry_after=retry_after)


def _is_about_nobody(envelope: Envelope) -> bool:
    return bytes(envelope.id) in {b"", b"null"} and bool(bytes(envelope.error))


def _malformed(what: str) -> PeerError:
    return PeerError("provider_malformed", what)

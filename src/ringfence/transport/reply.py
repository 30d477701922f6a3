"""The answer of a server to one request, written as the handler gives it."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple, Protocol

from ringfence.transport import framing
from ringfence.transport.http import Headers

_JOIN_BYTES = 64 * 1024
"""Up to here one copy is cheaper than a second write."""


class Carrier(Protocol):
    """The connection that an answer is written to."""

    is_lost: bool
    is_write_paused: bool

    def write(self, data: bytes) -> None:
        """Send; dropped if the client has left."""

    def may_keep(self) -> bool:
        """Whether the connection may take another request after this answer."""

    def reply_ended(self, *, keep: bool) -> None:
        """The answer is complete."""

    def cut(self) -> None:
        """Close at once."""

    def hand_over(self, opening: bytes) -> "HandedOver":
        """Give the connection away after these bytes."""


class HandedOver(NamedTuple):
    """A connection on which another protocol goes on, and what the client has said of it."""

    transport: asyncio.Transport
    data: bytes


class Reply:
    """Implements `http.Response`."""

    __slots__ = (
        "_carrier",
        "_drained",
        "_has_body",
        "_is_chunked",
        "_is_ended",
        "_is_head",
        "_is_started",
        "_keep",
        "_left",
        "_on_disconnect",
        "_on_pause",
        "_on_resume",
        "_version",
        "task",
    )

    task: asyncio.Task[None]
    """The handler at work, kept so that nothing collects it."""

    def __init__(self, carrier: Carrier, *, is_head: bool, version: str) -> None:
        """`is_head` suppresses the body; `version` is the request's."""
        self._carrier = carrier
        self._is_head = is_head
        self._version = version
        self._is_started = False
        self._is_ended = False
        self._is_chunked = False
        self._left: int | None = None
        self._drained: asyncio.Future[None] | None = None
        self._on_disconnect: Callable[[], None] | None = None
        self._on_pause: Callable[[], None] | None = None
        self._on_resume: Callable[[], None] | None = None

    @property
    def is_started(self) -> bool:
        """Whether a status has been sent."""
        return self._is_started

    @property
    def is_ended(self) -> bool:
        """Whether the answer is complete."""
        return self._is_ended

    @property
    def is_disconnected(self) -> bool:
        """Whether the client has left."""
        return self._carrier.is_lost

    def send(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer at once with a whole body."""
        carrier = self._carrier
        keep = carrier.may_keep()
        own = self._connection(keep=keep)
        if framing.has_body(status):
            own.append(b"content-length: %d" % len(body))
        else:
            body = b""
        head = framing.response_head(status, headers, own)
        self._begin()
        if self._is_head:
            carrier.write(head)
        elif len(body) <= _JOIN_BYTES:
            carrier.write(head + body)
        else:
            carrier.write(head)
            carrier.write(body)
        self._is_ended = True
        self._on_disconnect = None  # who is called back often leads here
        carrier.reply_ended(keep=keep)

    def start(self, status: int, headers: Headers, *, content_length: int | None = None) -> None:
        """Begin an answer; chunked unless a length is given, ended by close for HTTP/1.0."""
        keep = self._carrier.may_keep()
        framed: list[bytes] = []
        self._has_body = framing.has_body(status) and not self._is_head
        if content_length is not None:
            framed.append(b"content-length: %d" % content_length)
        elif framing.has_body(status):
            if self._version == "1.1":
                framed.append(b"transfer-encoding: chunked")
                self._is_chunked = self._has_body
            else:
                keep = False
        framed += self._connection(keep=keep)
        head = framing.response_head(status, headers, framed)
        self._begin()
        self._keep = keep
        self._left = content_length
        self._carrier.write(head)

    def write(self, data: bytes) -> None:
        """Add to the body. Raises ValueError beyond the length that was given."""
        self._check_open()
        if not data or not self._has_body:
            return
        if self._is_chunked:
            self._carrier.write(b"%x\r\n%b\r\n" % (len(data), data))
            return
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                self.abort()
                raise ValueError("the body is longer than its stated length")
        self._carrier.write(data)

    def end(self) -> None:
        """Finish. Raises ValueError, and cuts the connection, if the body is too short."""
        self._check_open()
        if self._is_chunked:
            self._carrier.write(b"0\r\n\r\n")
        elif self._left and self._has_body:
            self.abort()
            raise ValueError("the body is shorter than its stated length")
        self._is_ended = True
        self._on_disconnect = self._on_pause = self._on_resume = None
        self._carrier.reply_ended(keep=self._keep)

    def abort(self) -> None:
        """Close without finishing; harmless after the end."""
        if not self._is_ended:
            self._is_started = self._is_ended = True
            self._on_disconnect = self._on_pause = self._on_resume = None
            self._carrier.cut()

    async def drain(self) -> None:
        """Wait until the client has taken enough. Raises ConnectionError if it left."""
        if self._carrier.is_write_paused and not self._carrier.is_lost:
            self._drained = asyncio.get_running_loop().create_future()
            try:
                await self._drained
            finally:
                self._drained = None
        if self._carrier.is_lost:
            raise ConnectionResetError("the client left")

    def hand_over(self, opening: bytes) -> HandedOver:
        """Answer with these bytes, and give the connection to whoever speaks what follows them.

        Its reading is paused. Raises RuntimeError if an answer was begun.
        """
        self._begin()
        self._is_ended = True
        self._on_disconnect = self._on_pause = self._on_resume = None
        return self._carrier.hand_over(opening)

    def on_disconnect(self, callback: Callable[[], None]) -> None:
        """Call back once if the client leaves before the end; at once if it already has."""
        if not self._carrier.is_lost:
            self._on_disconnect = callback
        elif not self._is_ended:
            callback()

    def on_pause(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        """Call back when the client takes too slowly and when it has caught up."""
        self._on_pause = pause
        self._on_resume = resume
        if self._carrier.is_write_paused:
            pause()

    # From the connection

    def paused(self) -> None:
        """The client takes too slowly."""
        if self._on_pause is not None:
            self._on_pause()

    def resumed(self) -> None:
        """The client has caught up."""
        self._release()
        if self._on_resume is not None:
            self._on_resume()

    def lost(self) -> None:
        """The client left before the end."""
        self._release()
        callback, self._on_disconnect = self._on_disconnect, None
        if callback is not None and not self._is_ended:
            callback()

    def _release(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def _begin(self) -> None:
        if self._is_started:
            raise RuntimeError("an answer is begun only once")
        self._is_started = True

    def _check_open(self) -> None:
        if not self._is_started or self._is_ended:
            raise RuntimeError("the answer is not open")

    def _connection(self, *, keep: bool) -> list[bytes]:
        if keep:
            return [] if self._version == "1.1" else [b"connection: keep-alive"]
        return [b"connection: close"]

"""Bodies that must be whole before they are read, within what a call may hold of memory."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import final

from ringfence.domain.error import PeerError
from ringfence.domain.verdict import Code, Throttle
from ringfence.enforcement.allowance import Portion
from ringfence.transport.http import Request, Response, UpstreamResponse

_AT_ONCE_BYTES = 64 * 1024
"""What may wait for a client without being counted; the engine's own mark."""


def request_at_once(
    request: Request, limit_bytes: int, portion: Portion
) -> bytes | Throttle | None:
    """The whole body of a request if it has arrived, or why there is no room; None if it has not.

    Raises PeerError `request_too_large`.
    """
    body = request.whole(limit_bytes)
    if body is None:
        return None
    return portion.take(len(body)) or body


async def read_request(request: Request, limit_bytes: int, portion: Portion) -> bytes | Throttle:
    """The same, waiting for it. Raises ConnectionError if the client left."""
    stated = request.header(b"content-length")
    if stated is not None:
        return portion.take(min(int(stated), limit_bytes)) or await request.read(limit_bytes)
    parts: list[bytes] = []
    size = 0
    async for part in request.chunks():
        size += len(part)
        if size > limit_bytes:
            message = f"the body is larger than {limit_bytes} bytes"
            raise PeerError(Code.REQUEST_TOO_LARGE, message)
        full = portion.take(len(part))
        if full is not None:
            return full
        parts.append(part)
    return b"".join(parts)


class Collector(ABC):
    """A `transport.http.Sink` that keeps an answer until it is whole.

    Of `collected`, `no_room` and `broken` one is called, once, unless the answer is closed before.
    """

    __slots__ = ("_limit_bytes", "_parts", "_portion", "_size", "_upstream")

    def __init__(self, upstream: UpstreamResponse, limit_bytes: int, portion: Portion) -> None:
        """Nothing has come yet."""
        self._upstream = upstream
        self._limit_bytes = limit_bytes
        self._portion = portion
        self._parts: list[bytes] = []
        self._size = 0

    @abstractmethod
    def collected(self, body: bytes) -> None:
        """The answer is whole."""

    @abstractmethod
    def no_room(self, full: Throttle) -> None:
        """There is no room for it; the rest was given up."""

    @abstractmethod
    def broken(self, error: Exception) -> None:
        """It broke off or is too large: PeerError `provider_malformed`, or UnavailableError."""

    def data(self, chunk: bytes) -> None:
        """Keep a piece, if there is room."""
        self._size += len(chunk)
        if self._size > self._limit_bytes:
            self._upstream.close()
            message = f"the answer is larger than {self._limit_bytes} bytes"
            self.broken(PeerError(Code.PROVIDER_MALFORMED, message))
            return
        full = self._portion.take(len(chunk))
        if full is None:
            self._parts.append(chunk)
        else:
            self._upstream.close()
            self.no_room(full)

    def end(self) -> None:
        """That was all."""
        parts, self._parts = self._parts, []
        self.collected(parts[0] if len(parts) == 1 else b"".join(parts))

    def failed(self, error: Exception) -> None:
        """It broke off."""
        self.broken(error)


def send_whole(  # noqa: PLR0913 (an answer has these parts)
    response: Response,
    status: int,
    headers: list[tuple[bytes, bytes]],
    body: bytes,
    *,
    go_on: Callable[[Callable[[], None]], None],
    sent: Callable[[], None],
) -> None:
    """Answer; `sent` is called once the client has taken most of it, so that it stays counted.

    Also if the client leaves before. A long answer goes out in pieces: `go_on` is handed what
    writes the next, and calls it when that may be.
    """
    if len(body) <= _AT_ONCE_BYTES or response.is_disconnected:
        if not response.is_disconnected:
            response.send(status, headers, body)
        sent()
    else:
        _Delivery(response, body, go_on, sent).begin(status, headers)


@final
class _Delivery:
    """A long answer that a client takes at its own pace."""

    def __init__(
        self,
        response: Response,
        body: bytes,
        go_on: Callable[[Callable[[], None]], None],
        sent: Callable[[], None],
    ) -> None:
        self._response = response
        self._body = body
        self._at = 0
        self._go_on = go_on
        self._sent: Callable[[], None] | None = sent
        self._is_paused = False

    def begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        response = self._response
        response.start(status, headers, content_length=len(self._body))
        response.on_disconnect(self._over)
        response.on_pause(self._pause, self._resume)
        self._write()

    def _write(self) -> None:
        """Write one piece; the next follows in another turn of the loop, or when there is room."""
        if self._sent is None:
            return
        if self._at == len(self._body):
            self._response.end()
            self._over()
            return
        piece = self._body[self._at : self._at + _AT_ONCE_BYTES]
        self._at += len(piece)
        self._response.write(piece)
        if not self._is_paused:
            asyncio.get_running_loop().call_soon(self._go_on, self._write)

    def _pause(self) -> None:
        self._is_paused = True

    def _resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self._go_on(self._write)

    def _over(self) -> None:
        sent, self._sent = self._sent, None
        if sent is not None:
            sent()

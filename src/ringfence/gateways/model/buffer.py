"""Bodies that must be whole before they are read, within what a call may hold of memory."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import final

from ringfence.domain.error import PeerError
from ringfence.domain.verdict import Code, Throttle
from ringfence.enforcement.allowance import Hold
from ringfence.transport.http import Request, Response, UpstreamResponse

_AT_ONCE_BYTES = 64 * 1024
"""What may wait for a client without being counted; the engine's own mark."""


async def read_request(request: Request, limit_bytes: int, hold: Hold) -> bytes | Throttle:
    """The whole body of a request, or why there is no room for it.

    Raises PeerError `request_too_large`, or ConnectionError if the client left.
    """
    stated = request.header(b"content-length")
    if stated is not None:
        return hold.take(min(int(stated), limit_bytes)) or await request.read(limit_bytes)
    parts: list[bytes] = []
    size = 0
    async for part in request.chunks():
        size += len(part)
        if size > limit_bytes:
            message = f"the body is larger than {limit_bytes} bytes"
            raise PeerError(Code.REQUEST_TOO_LARGE, message)
        full = hold.take(len(part))
        if full is not None:
            return full
        parts.append(part)
    return b"".join(parts)


async def read_answer(upstream: UpstreamResponse, limit_bytes: int, hold: Hold) -> bytes | Throttle:
    """The whole body of an answer, or why there is no room for it.

    Raises PeerError `provider_malformed` over the limit or when it breaks off, UnavailableError.
    """
    collector = _Collector(upstream, limit_bytes, hold)
    upstream.pipe(collector)
    return await collector.whole


async def send_whole(
    response: Response,
    status: int,
    headers: list[tuple[bytes, bytes]],
    body: bytes,
    may_go_on: Callable[[], Awaitable[bool]],
) -> None:
    """Answer; return when the client has taken most of it, so that what waits stays counted.

    A long answer goes out in pieces, and `may_go_on` is asked before each but the first; where it
    says no, the connection is cut. Raises ConnectionError if the client leaves before.
    """
    if len(body) <= _AT_ONCE_BYTES:
        response.send(status, headers, body)
        return
    response.start(status, headers, content_length=len(body))
    for at in range(0, len(body), _AT_ONCE_BYTES):
        if at and not await may_go_on():
            response.abort()
            return
        response.write(body[at : at + _AT_ONCE_BYTES])
        await response.drain()
    response.end()


@final
class _Collector:
    """A `transport.http.Sink` that keeps what it is given."""

    def __init__(self, upstream: UpstreamResponse, limit_bytes: int, hold: Hold) -> None:
        self.whole: asyncio.Future[bytes | Throttle] = asyncio.get_running_loop().create_future()
        self._upstream = upstream
        self._limit_bytes = limit_bytes
        self._hold = hold
        self._parts: list[bytes] = []
        self._size = 0

    def data(self, chunk: bytes) -> None:
        if self.whole.done():
            return
        self._size += len(chunk)
        if self._size > self._limit_bytes:
            message = f"the answer is larger than {self._limit_bytes} bytes"
            self._give_up(PeerError(Code.PROVIDER_MALFORMED, message))
            return
        full = self._hold.take(len(chunk))
        if full is not None:
            self._give_up(full)
        else:
            self._parts.append(chunk)

    def end(self) -> None:
        if not self.whole.done():
            self.whole.set_result(b"".join(self._parts))

    def failed(self, error: Exception) -> None:
        if not self.whole.done():
            self.whole.set_exception(error)

    def _give_up(self, why: Exception | Throttle) -> None:
        self._parts.clear()
        self._upstream.close()
        if isinstance(why, Throttle):
            self.whole.set_result(why)
        else:
            self.whole.set_exception(why)

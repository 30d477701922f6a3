"""Requests that the plane makes at its own doors: in memory, no socket lies between."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final, final

from ringfence.transport.http import Headers

PIECES_KEPT: Final = 100
"""How much is kept of an answer that comes in pieces: its end."""


@final
class InwardRequest:
    """A `transport.http.Request` of the plane's own."""

    def __init__(self, path: bytes, headers: Headers, body: bytes) -> None:
        """Its body is here already."""
        self.method = b"POST"
        self.path = path
        self.query = b""
        self.headers = headers
        self.peer = ""
        self.memo: dict[object, object] | None = None
        self._body = body

    def header(self, name: bytes) -> bytes | None:
        """The first of this name."""
        return next((value for key, value in self.headers if key == name), None)

    def whole(self, limit_bytes: int) -> bytes | None:
        """The body."""
        del limit_bytes
        return self._body

    async def read(self, limit_bytes: int) -> bytes:
        """The body."""
        del limit_bytes
        return self._body

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body, at once."""
        yield self._body


@final
class InwardResponse:
    """A `transport.http.Response` whose client is the plane itself: it never leaves."""

    is_disconnected = False

    def __init__(self) -> None:
        """Nothing was answered yet."""
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_started = False
        self.status = 0
        self._pieces: list[bytes] = []

    @property
    def body(self) -> bytes:
        """The end of what was sent: the answer is the last of it."""
        return b"".join(self._pieces)

    def send(self, status: int, headers: Headers, body: bytes) -> None:
        """All of it at once."""
        self.start(status, headers)
        self.write(body)
        self.end()

    def start(self, status: int, headers: Headers, *, content_length: int | None = None) -> None:
        """Its head."""
        del headers, content_length
        self.is_started, self.status = True, status

    def write(self, data: bytes) -> None:
        """A piece of it."""
        self._pieces.append(data)
        if len(self._pieces) > PIECES_KEPT:
            del self._pieces[0]

    def end(self) -> None:
        """That was all."""
        if not self.over.done():
            self.over.set_result(None)

    def abort(self) -> None:
        """It is cut: there is no answer."""
        self._pieces.clear()
        self.end()

    async def drain(self) -> None:
        """There is always room."""

    def on_disconnect(self, callback: Callable[[], None]) -> None:
        """It never leaves."""

    def on_pause(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        """Nor is it ever too slow."""

"""Requests that the plane makes at its own doors: in memory, no socket lies between."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final, final

from ringfence.domain.error import PeerError
from ringfence.transport.http import Headers, Response

PIECES_KEPT: Final = 100
"""How much is kept of an answer that comes in pieces: its end."""


@final
class InwardRequest:
    """A `transport.http.Request` of the plane's own."""

    def __init__(self, path: bytes, headers: Headers, body: bytes, *, peer: str = "") -> None:
        """Its body is here already. `peer` is whose request it is made for, if it is for one."""
        self.method = b"POST"
        self.path = path
        self.query = b""
        self.headers = headers
        self.peer = peer
        self.memo: dict[object, object] | None = None
        self._body = body

    def header(self, name: bytes) -> bytes | None:
        """The value of a header that occurs once. Raises PeerError `request_malformed`."""
        found = [value for key, value in self.headers if key == name]
        if len(found) > 1:
            raise PeerError("request_malformed", f"header `{name.decode()}` occurs more than once")
        return found[0] if found else None

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
    """A `transport.http.Response` that is kept: its client is the plane itself.

    It never leaves, unless the request is made for an agent's, whose client may.
    """

    def __init__(self, outer: Response | None = None) -> None:
        """Nothing was answered yet. `outer` is the answer that this one is needed for."""
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_started = False
        self.status = 0
        self._outer = outer
        self._pieces: list[bytes] = []

    @property
    def is_disconnected(self) -> bool:
        """Whether whoever it is made for has left."""
        return self._outer is not None and self._outer.is_disconnected

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
        """Who is told when whoever it is made for leaves."""
        if self._outer is not None:
            self._outer.on_disconnect(callback)

    def on_pause(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        """It is never too slow."""

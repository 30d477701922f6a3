"""Requests and responses of the HTTP engine held in memory, for handlers without a socket."""

from collections.abc import AsyncIterator, Callable

from ringfence.domain.error import PeerError
from ringfence.transport.http import Headers


class MemoryRequest:
    """A `transport.http.Request` whose body is already here."""

    def __init__(
        self, method: str, target: str, *, headers: Headers = (), body: bytes = b""
    ) -> None:
        """`target` is path and query as on the request line."""
        path, _, query = target.encode().partition(b"?")
        self.method = method.encode()
        self.path = path
        self.query = query
        self.headers = headers
        self.peer = "127.0.0.1"
        self.memo: dict[object, object] | None = None
        self.is_late = False
        """Whether the body arrives only when it is waited for."""
        self._body = body

    def header(self, name: bytes) -> bytes | None:
        """The value of a header that occurs once. Raises PeerError `request_malformed`."""
        found = [value for key, value in self.headers if key == name]
        if len(found) > 1:
            raise PeerError("request_malformed", f"header `{name.decode()}` occurs twice")
        return found[0] if found else None

    def whole(self, limit_bytes: int) -> bytes | None:
        """The whole body; None if it is to come late. Raises PeerError `request_too_large`."""
        if len(self._body) > limit_bytes:
            raise PeerError("request_too_large", f"the body is over {limit_bytes} bytes")
        return None if self.is_late else self._body

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body. Raises PeerError `request_too_large`."""
        self.is_late = False
        return self.whole(limit_bytes) or b""

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body in one piece."""
        yield self._body


class MemoryResponse:
    """A `transport.http.Response` that keeps what was sent; `leave` plays the client's leaving."""

    def __init__(self) -> None:
        """Nothing sent yet."""
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.writes: list[bytes] = []
        self.is_ended = False
        self.is_aborted = False
        self.is_started = False
        self.is_disconnected = False
        self._on_disconnect: list[Callable[[], None]] = []

    @property
    def body(self) -> bytes:
        """All that was sent so far."""
        return b"".join(self.writes)

    def send(self, status: int, headers: Headers, body: bytes) -> None:
        """Keep a whole answer."""
        self.start(status, headers, content_length=len(body))
        self.write(body)
        self.end()

    def start(self, status: int, headers: Headers, *, content_length: int | None = None) -> None:
        """Keep the head."""
        self.is_started = True
        self.status = status
        self.headers = dict(headers)
        if content_length is not None:
            self.headers[b"content-length"] = b"%d" % content_length

    def write(self, data: bytes) -> None:
        """Keep a piece of the body."""
        if data:
            self.writes.append(data)

    def end(self) -> None:
        """Note that the answer is whole."""
        self.is_ended = True
        self._on_disconnect.clear()

    def abort(self) -> None:
        """Note that the connection was closed before the end."""
        self.is_aborted = True
        self._on_disconnect.clear()

    async def drain(self) -> None:
        """Go on at once. Raises ConnectionError if the client left."""
        if self.is_disconnected:
            raise ConnectionError("the client left")

    def on_disconnect(self, callback: Callable[[], None]) -> None:
        """Call back on `leave`; at once if the client has left."""
        if self.is_disconnected:
            callback()
        else:
            self._on_disconnect.append(callback)

    def on_pause(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        """Never called back: memory takes all there is."""

    def leave(self) -> None:
        """The client goes away before the end."""
        self.is_disconnected = True
        for callback in tuple(self._on_disconnect):
            callback()

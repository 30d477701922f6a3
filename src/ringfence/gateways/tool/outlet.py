"""An answer on its way to a client: one document, or a stream if there is more to say."""

from collections.abc import Callable
from typing import Final, final

from ringfence.protocols import sse
from ringfence.transport.http import Headers, Response

JSON: Final = (b"content-type", b"application/json")
_STREAM: Final = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
)
OPEN_AFTER_US: Final = 5_000_000
"""A client without a head gives up sooner than one with an open stream; measured: Claude Code
after 60 s, and none before 5."""
COMMENT_EVERY_US: Final = 15_000_000
_QUEUED_BYTES: Final = 4 * 1024 * 1024
"""Of notifications for a client that does not read; more are dropped, as the protocol allows."""


@final
class Outlet:
    """Where one request is answered.

    A legacy stream that its server wants to be left is named (`name`), so that the client can come
    back for the rest.
    """

    __slots__ = (
        "_headers",
        "_is_paused",
        "_last_us",
        "_name",
        "_on_end",
        "_queued",
        "is_over",
        "is_stream",
        "response",
    )

    def __init__(
        self, response: Response, headers: Headers, now_us: int, name: bytes = b""
    ) -> None:
        """Nothing is sent yet. `now_us` is monotonic."""
        self.response = response
        self._headers = headers
        self._name = name
        self._last_us = now_us
        self._is_paused = False
        self._queued = 0
        self._on_end: Callable[[], None] | None = None
        self.is_stream = False
        self.is_over = False

    def open(self) -> None:
        """Begin a stream, if none has begun."""
        if self.is_stream or self.is_over or self.response.is_disconnected:
            return
        self.is_stream = True
        self.response.start(200, [*_STREAM, *self._headers])
        self.response.on_pause(self._pause, self._resume)

    def say(self, raw: bytes, *, may_drop: bool = False) -> None:
        """Send a message before the answer."""
        if self.is_over or self.response.is_disconnected:
            return
        if self._is_paused and may_drop:
            self._queued += len(raw)
            if self._queued > _QUEUED_BYTES:
                return
        self.open()
        self.response.write(sse.write(_one_line(raw), b"message"))

    def mark(self, event_id: bytes, retry_ms: int | None) -> None:
        """Name a place from which the client can go on (2025-11-25, Transports, SEP-1699)."""
        if self.is_over or self.response.is_disconnected:
            return
        self.open()
        retry = b"" if retry_ms is None else b"retry: %d\n" % retry_ms
        self.response.write(b"id: %b-%b\n%bdata: \n\n" % (self._name, event_id, retry))

    def answer(self, raw: bytes, status: int = 200) -> None:
        """Send the answer, and end."""
        if self.is_over:
            return
        self.is_over = True
        if self.response.is_disconnected:
            return
        if self.is_stream:
            self.response.write(sse.write(_one_line(raw), b"message"))
            self.response.end()
        else:
            self.response.send(status, [JSON, *self._headers], raw)
        self._ended()

    def leave(self) -> None:
        """End a stream without an answer; it is fetched later, or nobody wants it any more."""
        if self.is_over:
            return
        self.open()
        self.is_over = True
        if not self.response.is_disconnected:
            self.response.end()
        self._ended()

    def abort(self) -> None:
        """Cut it."""
        if not self.is_over:
            self.is_over = True
            self.response.abort()
            self._ended()

    def keep_alive(self, now_us: int) -> None:
        """Tell a client that waits that its request is being worked on."""
        if self.is_over or self.response.is_disconnected:
            return
        waited_us = now_us - self._last_us
        if not self.is_stream and waited_us > OPEN_AFTER_US:
            self._last_us = now_us
            self.open()
            self.response.write(sse.COMMENT)
        elif self.is_stream and waited_us > COMMENT_EVERY_US:
            self._last_us = now_us
            self.response.write(sse.COMMENT)

    def on_gone(self, tell: Callable[[], None]) -> None:
        """Call back once if the client leaves before the end."""
        self.response.on_disconnect(tell)

    def on_end(self, tell: Callable[[], None]) -> None:
        """Call back once when it is ended from here."""
        self._on_end = tell

    def _ended(self) -> None:
        tell, self._on_end = self._on_end, None
        if tell is not None:
            tell()

    def _pause(self) -> None:
        self._is_paused = True

    def _resume(self) -> None:
        self._is_paused = False
        self._queued = 0


def _one_line(raw: bytes) -> bytes:
    """A message for a stream, where an end of line would end its event.

    In JSON one is never part of a text.
    """
    return raw.replace(b"\n", b" ").replace(b"\r", b" ")

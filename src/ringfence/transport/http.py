"""The messages of the HTTP engine: what a handler receives and how it answers.

Header names are lower case. Nothing here opens a socket; `server` and `client` do.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

LOCAL = "local"
"""What stands for the peer's address on a Unix socket."""

LINES = "lines"
"""The place in a `memo` of a dictionary that requests share whose header lines are the same,
whatever their targets."""

Headers = Sequence[tuple[bytes, bytes]]
"""Pairs in order; names lower case, values without surrounding white space."""


class Request(Protocol):
    """One request on a server connection."""

    method: bytes
    path: bytes
    """The raw path, percent-encoding untouched, without the query."""
    query: bytes
    headers: Headers
    peer: str
    """The peer's address, for logs."""
    memo: dict[object, object] | None
    """Shared by the requests of one connection whose heads are the same to the byte, but for their
    length, so that a handler may keep here what it has read of the head. None for other requests.
    What it keeps at `LINES` is shared wherever the lines after the first are the same.
    In `headers` of such a request only the length may be that of another."""

    def header(self, name: bytes) -> bytes | None:
        """The value of a header that occurs exactly once; None if absent.

        Raises PeerError `request_malformed` if it occurs more than once.
        """

    def whole(self, limit_bytes: int) -> bytes | None:
        """The whole body if it has arrived, without a wait; None if it has not.

        Raises PeerError `request_too_large`.
        """

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body.

        Raises PeerError `request_too_large`, or ConnectionError if the client left.
        """

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives, with back-pressure."""


class Response(Protocol):
    """The answer to one request. What does not wait may be called from any callback of the loop."""

    def send(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer at once with a whole body; sets Content-Length."""

    def start(self, status: int, headers: Headers, *, content_length: int | None = None) -> None:
        """Begin an answer; chunked unless a length is given."""

    def write(self, data: bytes) -> None:
        """Add to the body. Empty data are ignored."""

    def end(self) -> None:
        """Finish the answer."""

    def abort(self) -> None:
        """Close the connection without finishing, so that the client sees a cut and not an end."""

    async def drain(self) -> None:
        """Wait until the client has taken enough. Raises ConnectionError if it left."""

    @property
    def is_started(self) -> bool:
        """Whether a status has been sent."""

    @property
    def is_disconnected(self) -> bool:
        """Whether the client has left."""

    def on_disconnect(self, callback: Callable[[], None]) -> None:
        """Call back once if the client leaves before the end."""

    def on_pause(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        """Call back when the client takes too slowly and when it has caught up."""


class Sink(Protocol):
    """Takes an upstream body as it arrives, without a task switch for each chunk."""

    def data(self, chunk: bytes) -> None:
        """Some bytes of the body."""

    def end(self) -> None:
        """The body is complete."""

    def failed(self, error: Exception) -> None:
        """The body broke off: UnavailableError or PeerError."""


class UpstreamResponse(Protocol):
    """The head of an upstream's answer, and its body pushed as it comes."""

    status: int
    headers: Headers

    @property
    def address(self) -> str:
        """The address that it came from; empty for a Unix socket."""

    def at_once(self) -> bytes | None:
        """All of the body, if it has come together with the head; then nothing is left to pipe."""

    def pipe(self, sink: Sink) -> None:
        """Push the body into a sink, beginning with what has already arrived."""

    def pause(self) -> None:
        """Stop reading from the upstream until `resume`."""

    def resume(self) -> None:
        """Go on reading."""

    def close(self) -> None:
        """Give up the rest and the connection. Harmless after the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where to connect: scheme `http` or `https`, host and port; or `unix`, and a path as host."""

    scheme: str
    host: str
    port: int


class Taker(Protocol):
    """Waits for the head of an upstream's answer; called once, and from any callback of the loop.

    Neither may raise.
    """

    def answered(self, upstream: UpstreamResponse, /) -> None:
        """The head is there; some or all of the body may be."""

    def unanswered(self, error: Exception, /) -> None:
        """There will be none: UnavailableError, PeerError; UnsentError if nothing was sent."""


class Prepared(Protocol):
    """A request that may be sent any number of times, each with another body."""


class Exchange(Protocol):
    """A request that was handed to a client."""

    def abandon(self, taker: Taker, /) -> None:
        """Nobody waits any more: the taker is not called. Harmless if it has been."""


class ReadableResponse(UpstreamResponse, Protocol):
    """An upstream's answer for a coroutine."""

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body.

        Raises PeerError `provider_malformed` over the limit or when it breaks off.
        """


class Requester(Protocol):
    """Sends requests for coroutines."""

    async def request(  # noqa: PLR0913 (one request has these parts)
        self,
        origin: Origin,
        method: bytes,
        target: bytes,
        headers: Headers,
        body: bytes,
        *,
        connect_timeout_s: float,
        idle_timeout_s: float,
    ) -> ReadableResponse:
        """Send a request and wait for the head of the answer.

        Raises UnavailableError `provider_unavailable` or `provider_timeout`, PeerError
        `provider_malformed`. It is an UnsentError if nothing of the request was sent.
        """


class Client(Requester, Protocol):
    """A pool of upstream connections, for callbacks too."""

    def prepare(  # noqa: PLR0913 (one request has these parts)
        self,
        origin: Origin,
        method: bytes,
        target: bytes,
        headers: Headers,
        *,
        connect_timeout_s: float,
        idle_timeout_s: float,
    ) -> Prepared:
        """Write the head of a request. Raises ValueError for a header that would end its line."""

    def send(self, prepared: Prepared, body: bytes, taker: Taker, /) -> Exchange:
        """Send a request, at once if a connection is open; never waits and never calls `taker`.

        `prepared` was made by the same client.
        """

    async def close(self) -> None:
        """Close every connection."""


class Work(Protocol):
    """What goes on after a handler has returned, by callbacks and without a task."""

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""

    def cancel(self) -> None:
        """End it as soon as may be; harmless if it has ended."""

    def when_over(self, tell: Callable[["Work"], None], /) -> None:
        """Tell once when it has ended; not called if it has ended already."""


Handle = Callable[[Request, Response], Coroutine[Any, Any, None] | Work | None]
"""Answers a request: at once, by a coroutine (a task is made for it) or by work that goes on."""

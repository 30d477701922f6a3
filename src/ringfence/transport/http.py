"""The messages of the HTTP engine: what a handler receives and how it answers.

Header names are lower case. Nothing here opens a socket; `server` and `client` do.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

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

    def header(self, name: bytes) -> bytes | None:
        """The value of a header that occurs exactly once; None if absent.

        Raises PeerError `request_malformed` if it occurs more than once.
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
    """The head of an upstream's answer, and its body in one of two ways."""

    status: int
    headers: Headers

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body.

        Raises PeerError `provider_malformed` over the limit or when it breaks off.
        """

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
    """Where to connect: scheme `http` or `https`, host and port."""

    scheme: str
    host: str
    port: int


class Client(Protocol):
    """A pool of upstream connections."""

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
    ) -> UpstreamResponse:
        """Send a request and wait for the head of the answer.

        Raises UnavailableError `provider_unavailable` or `provider_timeout`, PeerError
        `provider_malformed`. It is an UnsentError if nothing of the request was sent.
        """

    async def close(self) -> None:
        """Close every connection."""


Handler = Callable[[Request, Response], "object"]
"""A coroutine function `async def handle(request, response) -> None`."""

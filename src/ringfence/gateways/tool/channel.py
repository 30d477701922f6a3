"""A way to one tool server, as the rest of the door sees it, whatever is on the other side."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import msgspec

from ringfence.domain.error import RingfenceError
from ringfence.protocols.mcp.message import Envelope
from ringfence.protocols.mcp.version import Era
from ringfence.transport.http import Headers


class Sending(msgspec.Struct, frozen=True, kw_only=True):
    """A request on its way to a server. `number` is the raw id that stands in `body`."""

    body: bytes
    number: bytes
    method: str
    name: str = ""
    mirrored: Headers = ()
    """`Mcp-Param-…` headers."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no answer of the protocol. `status` is HTTP's, 0 if there was none."""

    error: RingfenceError
    status: int = 0
    retry_after: str = ""
    was_sent: bool = True
    """False only if the server surely saw nothing of the request."""


class How(NamedTuple):
    """How an answer came: HTTP's status, and whether on a stream."""

    status: int
    is_stream: bool


class Taker(Protocol):
    """Waits for what a server says to one request. None of these may raise."""

    def said(self, raw: bytes, envelope: Envelope, /) -> None:
        """A notification, or a question of the server to the client."""

    def marked(self, event_id: bytes, retry_ms: int | None, /, *, is_alone: bool) -> None:
        """The server's stream can be resumed from here; alone if it says nothing else."""

    def paused(self) -> None:
        """The server ended its stream before it answered, and is asked for the rest."""

    def replied(self, raw: bytes, envelope: Envelope, how: How, /) -> None:
        """The answer; the last that is heard."""

    def lost(self, failure: Failure, /) -> None:
        """There will be no answer; the last that is heard."""


class Pending(Protocol):
    """A request that waits for its answer."""

    def cancel(self, reason: str) -> None:
        """Tell the server that nobody waits any more; the taker is not called again."""


Heard = Callable[[bytes, Envelope], None]
"""Told what a server says that belongs to no request."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a client wants to hear of, as `subscriptions/listen` says it."""

    tools: bool = True
    prompts: bool = True
    resources: bool = True
    uris: frozenset[str] = frozenset()


class Standing(Protocol):
    """A stream of what a server says by itself."""

    def close(self) -> None:
        """Hear no more."""


class Channel(Protocol):
    """One way to one server: a session of the legacy era, or requests of the modern one."""

    era: Era
    version: str
    capabilities: bytes
    """Raw JSON of what the server declares; known once it is open."""
    greeting: bytes
    """The raw result of `initialize` or `server/discover`; known once it is open."""
    is_shared: bool
    """Whether several clients use it, so that ids must be given out here."""
    is_owned: bool
    """Whether it is one session's alone, and ends with it."""

    @property
    def is_open(self) -> bool:
        """Whether requests go out without a handshake."""

    async def open(self) -> None:
        """Greet the server. Raises RingfenceError, and McpError if it refuses."""

    def call(self, sending: Sending, taker: Taker) -> Pending:
        """Send a request; `taker` is told. Never waits, but for a handshake if there was none."""

    async def tell(self, body: bytes) -> None:
        """Send a notification, or the client's answer to a question."""

    def listen(self, wanted: Wanted, heard: Heard) -> Standing:
        """Hear what the server says by itself, until it is closed."""

    def number(self) -> bytes:
        """A raw id that no other request on this channel has."""

    async def close(self) -> None:
        """End it."""

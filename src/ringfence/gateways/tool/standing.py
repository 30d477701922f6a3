"""What a tool server says by itself, over HTTP: a GET in one era, a subscription in the other."""

import asyncio
import contextlib
import logging
from typing import Final, Protocol, final

import msgspec

from ringfence.domain.error import RingfenceError
from ringfence.enforcement.tool_dispatch import ToolDispatch, ToolDispatcher
from ringfence.gateways.tool.channel import Failure, Heard, How, Sending, Wanted
from ringfence.gateways.tool.reply import ReplyReader, content_type
from ringfence.protocols.mcp import identity
from ringfence.protocols.mcp.error import McpError
from ringfence.protocols.mcp.message import Envelope
from ringfence.protocols.mcp.version import Era
from ringfence.transport.http import UpstreamResponse

_LOG = logging.getLogger(__name__)

_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0
_OK: Final = 200
_GONE: Final = 404
_NONE_OFFERED: Final = 405
READY_S: Final = 2.0
"""How long whoever begins to listen waits for the server to listen too."""
_ACKNOWLEDGED: Final = "notifications/subscriptions/acknowledged"


class Opener(Protocol):
    """What is needed of a channel."""

    era: Era
    session: bytes
    dispatcher: ToolDispatcher

    async def open(self) -> None:
        """Greet the server."""

    def expired(self, session: bytes) -> None:
        """The server does not know our session any more."""

    def prepared(self, sending: Sending) -> ToolDispatch:
        """The head of a request."""

    def resuming(self, event_id: bytes) -> ToolDispatch:
        """The head of a GET."""


def listen_params(wanted: Wanted) -> bytes:
    """The parameters of our own `subscriptions/listen`."""
    asked: dict[str, object] = {}
    if wanted.tools:
        asked["toolsListChanged"] = True
    if wanted.prompts:
        asked["promptsListChanged"] = True
    if wanted.resources:
        asked["resourcesListChanged"] = True
    if wanted.uris:
        asked["resourceSubscriptions"] = sorted(wanted.uris)
    return identity.params(identity.OWN, {"notifications": msgspec.json.encode(asked)})


@final
class WebStanding:
    """Implements `channel.Standing`; begins anew whenever the stream ends, with growing pauses."""

    def __init__(self, channel: Opener, number: bytes, body: bytes, heard: Heard) -> None:
        """`body` is the request of the modern era; empty in the legacy one."""
        self._channel = channel
        self._number = number
        self._body = body
        self._heard = heard
        self._event_id = b""
        self._upstream: UpstreamResponse | None = None
        self.ready = asyncio.Event()
        """Set when the server listens, or surely will not."""
        self._task = asyncio.create_task(self._run(), name="standing")

    def close(self) -> None:
        """Hear no more."""
        self._task.cancel()
        if self._upstream is not None:
            self._upstream.close()

    async def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            is_offered, was_heard = False, False
            try:
                await self._channel.open()
                is_offered, was_heard = await self._listen()
            except (RingfenceError, McpError) as error:
                _LOG.info("a tool server's own messages are not heard: %s", error)
                is_offered = True
            self.ready.set()
            if not is_offered:
                return
            pause_s = _FIRST_PAUSE_S if was_heard else min(pause_s * 2, _LONGEST_PAUSE_S)
            await asyncio.sleep(pause_s)

    async def _listen(self) -> tuple[bool, bool]:
        """Listen until the stream ends: whether it is offered at all, and whether it was there."""
        channel = self._channel
        session = channel.session
        if channel.era is Era.MODERN:
            method = "subscriptions/listen"
            sending = Sending(body=self._body, number=self._number, method=method)
            dispatch = channel.prepared(sending)
        else:
            dispatch = channel.resuming(self._event_id)
        listening = _Listening(self)
        exchange = channel.dispatcher.send(dispatch, self._body, listening)
        try:
            upstream = await listening.head
        except asyncio.CancelledError:
            exchange.abandon(listening)
            raise
        if upstream.status == _GONE and channel.era is Era.LEGACY:
            upstream.close()
            channel.expired(session)
            return True, False
        if upstream.status != _OK or content_type(upstream) != b"text/event-stream":
            upstream.close()
            return upstream.status != _NONE_OFFERED and upstream.status >= 500, False  # noqa: PLR2004 (a failure that may pass)
        self._upstream = upstream
        reader = ReplyReader(upstream, self._number, listening, listening.ended)
        upstream.pipe(reader)
        if channel.era is Era.LEGACY:
            self.ready.set()
        await listening.over
        return True, True

    def heard(self, raw: bytes, envelope: Envelope) -> None:
        """The server says something."""
        self.ready.set()
        if envelope.method != _ACKNOWLEDGED:
            self._heard(raw, envelope)

    def marked(self, event_id: bytes) -> None:
        """Where to go on from."""
        self._event_id = event_id


@final
class _Listening:
    """A taker of one stream, and of its messages."""

    def __init__(self, standing: WebStanding) -> None:
        loop = asyncio.get_running_loop()
        self._standing = standing
        self.head: asyncio.Future[UpstreamResponse] = loop.create_future()
        self.over: asyncio.Future[None] = loop.create_future()

    def answered(self, upstream: UpstreamResponse) -> None:
        if self.head.done():
            upstream.close()
        else:
            self.head.set_result(upstream)

    def unanswered(self, error: Exception) -> None:
        if not self.head.done():
            self.head.set_exception(error)

    def said(self, raw: bytes, envelope: Envelope) -> None:
        self._standing.heard(raw, envelope)

    def marked(self, event_id: bytes, _retry_ms: int | None, *, is_alone: bool) -> None:
        del is_alone
        self._standing.marked(event_id)

    def paused(self) -> None:
        """It is begun anew in any case."""

    def replied(self, _raw: bytes, _envelope: Envelope, _how: How) -> None:
        self.ended(None)

    def lost(self, _failure: Failure) -> None:
        self.ended(None)

    def ended(self, _why: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(None)


async def until_ready(standing: object) -> None:
    """Wait for a moment until the server listens, where that can be known."""
    ready = getattr(standing, "ready", None)
    if isinstance(ready, asyncio.Event):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READY_S):
                await ready.wait()

"""Channels to tool servers over streamable HTTP, of either era."""

import asyncio
import contextlib
import itertools
import logging
from typing import Final, final

import msgspec

from ringfence.domain.error import RingfenceError, UnavailableError
from ringfence.domain.tool import ToolServer
from ringfence.enforcement.tool_dispatch import ToolDispatch, ToolDispatcher
from ringfence.gateways.tool.background import background
from ringfence.gateways.tool.channel import Failure, Heard, Sending, Standing, Taker, Wanted
from ringfence.gateways.tool.handshake import Opening, greet, not_opened
from ringfence.gateways.tool.reply import (
    Ended,
    ReplyReader,
    content_type,
    failure_of,
    header,
    refused_with,
)
from ringfence.gateways.tool.standing import WebStanding, listen_params
from ringfence.protocols.mcp import error as errors
from ringfence.protocols.mcp import head, message
from ringfence.protocols.mcp.error import McpError
from ringfence.protocols.mcp.greeting import read_greeting
from ringfence.protocols.mcp.version import LATEST, NO_HEADER, Era
from ringfence.transport.http import Exchange, Headers, UpstreamResponse

_LOG = logging.getLogger(__name__)

_JSON: Final = (b"content-type", b"application/json")
_BOTH: Final = (b"accept", b"application/json, text/event-stream")
_STREAM: Final = (b"accept", b"text/event-stream")
_FIRST_ERROR: Final = 400
_GONE: Final = 404
_UNAUTHORISED: Final = 401
_KEPT_HEADS: Final = 256
_IDLE_S: Final = 3600.0
"""Silence is no failure: a call has its own deadline, and a standing stream may say nothing."""
_RESUMES_MOST: Final = 50
_RESUME_MS: Final = 1000
_TELL_S: Final = 10.0


@final
class WebChannel:
    """Implements `channel.Channel`. A legacy one greets first, and again when its session ended."""

    def __init__(  # noqa: PLR0913 (a channel has these parts)
        self,
        server: ToolServer,
        dispatcher: ToolDispatcher,
        era: Era,
        introduction: bytes,
        *,
        is_shared: bool,
        is_owned: bool,
    ) -> None:
        """`introduction` is the raw `params` of the legacy `initialize`; unused in the other."""
        self.server = server
        self.dispatcher = dispatcher
        self.era = era
        self.is_shared = is_shared
        self.is_owned = is_owned
        self.version = LATEST if era is Era.MODERN else ""
        self.capabilities = b"{}"
        self.greeting = b""
        self.session = b""
        self._introduction = introduction
        self._numbers = itertools.count(1)
        self._opening = Opening(self._greet)
        self._is_greeted = False
        self._is_closed = False
        self._heads: dict[tuple[object, ...], ToolDispatch] = {}

    @property
    def is_open(self) -> bool:
        """Whether requests go out without a handshake."""
        is_greeted = self._is_greeted or self.era is Era.MODERN
        return is_greeted and self.dispatcher.is_authorised(self.server)

    def number(self) -> bytes:
        """A raw id that no other request on this channel has."""
        return b'"rf-%d"' % next(self._numbers)

    async def open(self) -> None:
        """Greet the server, once for all who wait."""
        await self.dispatcher.authorise(self.server)
        if self.is_open:
            return
        await self._opening.wait()

    def expired(self, session: bytes) -> None:
        """The server does not know our session any more: greet again."""
        if session == self.session:
            self._is_greeted = False
            self.session = b""
            self._heads.clear()

    def unsent(self, sending: Sending, taker: Taker) -> "WebCall":
        """A request that waits for no greeting."""
        return WebCall(self, sending, taker)

    def call(self, sending: Sending, taker: Taker) -> "WebCall":
        """Send a request."""
        call = self.unsent(sending, taker)
        call.begin()
        return call

    async def tell(self, body: bytes) -> None:
        """Send a notification, or the client's answer to a question; a failure is only logged."""
        if self.era is Era.MODERN or self._is_closed:
            return
        with contextlib.suppress(RingfenceError, McpError, TimeoutError):
            await self.open()
            async with asyncio.timeout(_TELL_S):
                upstream = await self._post(body)
            upstream.close()

    def listen(self, wanted: Wanted, heard: Heard) -> Standing:
        """Hear what the server says by itself."""
        number = self.number()
        body = b""
        if self.era is Era.MODERN:
            params = listen_params(wanted)
            body = message.request(number, "subscriptions/listen", params)
        return WebStanding(self, number, body, heard)

    async def close(self) -> None:
        """End the session."""
        self._is_closed = True
        self._opening.cancel()
        if self.era is Era.LEGACY and self.session:
            with contextlib.suppress(RingfenceError, TimeoutError):
                async with asyncio.timeout(_TELL_S):
                    (await self.exchange(b"DELETE", self._standard(), b"")).close()

    def prepared(self, sending: Sending) -> ToolDispatch:
        """The head of a request, kept where the next is alike."""
        key = (sending.method, sending.name) if self.era is Era.MODERN else ()
        known = None if sending.mirrored else self._heads.get(key)
        if known is not None and self.dispatcher.is_current(known):
            return known
        headers = [_JSON, _BOTH, *self._standard(sending), *sending.mirrored]
        made = self.dispatcher.prepare(self.server, b"POST", headers, _IDLE_S)
        if not sending.mirrored:
            if len(self._heads) >= _KEPT_HEADS:
                self._heads.clear()
            self._heads[key] = made
        return made

    def resuming(self, event_id: bytes) -> ToolDispatch:
        """The head of a request for the rest of a stream, or for what the server says by itself."""
        headers = [_STREAM, *self._standard()]
        if event_id:
            headers.append((b"last-event-id", event_id))
        return self.dispatcher.prepare(self.server, b"GET", headers, _IDLE_S)

    async def exchange(self, method: bytes, headers: Headers, body: bytes) -> UpstreamResponse:
        """Send a request that is none of the protocol, and wait for its head."""
        dispatch = self.dispatcher.prepare(self.server, method, headers, _IDLE_S)
        return await _Head(self.dispatcher, dispatch, body).future

    def _standard(self, sending: Sending | None = None) -> list[tuple[bytes, bytes]]:
        if self.era is Era.MODERN:
            return [] if sending is None else head.written(sending.method, sending.name)
        found = []
        if self.session:
            found.append((b"mcp-session-id", self.session))
        if self.version and self.version not in NO_HEADER:
            found.append((b"mcp-protocol-version", self.version.encode()))
        return found

    async def _post(self, body: bytes) -> UpstreamResponse:
        return await self.exchange(b"POST", [_JSON, _BOTH, *self._standard()], body)

    async def _greet(self) -> None:
        self.session, self.version = b"", ""
        reply = await greet(self, self._introduction, self.server.call_timeout_s)
        if reply.error:
            fault = errors.read(reply.error)
            raise McpError(fault.code, fault.message, status=reply.status)
        greeted = read_greeting(reply.result)
        self.greeting, self.version = reply.result, greeted.version
        self.capabilities = greeted.capabilities
        self._heads.clear()
        (await self._post(message.notification("notifications/initialized"))).close()
        self._is_greeted = True


@final
class WebCall:
    """One request; implements `channel.Pending` and `transport.http.Taker`."""

    __slots__ = (
        "_channel",
        "_exchange",
        "_is_over",
        "_is_retried",
        "_resumes",
        "_sending",
        "_session",
        "_taker",
        "_task",
        "_upstream",
    )

    def __init__(self, channel: WebChannel, sending: Sending, taker: Taker) -> None:
        """Not sent yet."""
        self._channel = channel
        self._sending = sending
        self._taker = taker
        self._exchange: Exchange | None = None
        self._upstream: UpstreamResponse | None = None
        self._task: asyncio.Task[None] | asyncio.TimerHandle | None = None
        self._session = b""
        self._resumes = 0
        self._is_over = False
        self._is_retried = False

    def begin(self) -> None:
        """Send it, after a handshake if there was none."""
        if self._channel.is_open:
            self.send()
        else:
            self._task = asyncio.create_task(self._greet_first(), name="greet first")

    def send(self) -> None:
        """Send it now."""
        channel = self._channel
        self._session = channel.session
        dispatch = channel.prepared(self._sending)
        self._exchange = channel.dispatcher.send(dispatch, self._sending.body, self)

    def cancel(self, reason: str) -> None:
        """Nobody waits any more: leaving says so, and in the legacy era a message."""
        if self._is_over:
            return
        self._is_over = True
        if self._task is not None:
            self._task.cancel()
        if self._exchange is not None:
            self._exchange.abandon(self)
        if self._channel.era is Era.LEGACY and self._channel.is_open:
            params = {"requestId": msgspec.Raw(self._sending.number), "reason": reason}
            told = message.notification("notifications/cancelled", msgspec.json.encode(params))
            background(self._channel.tell(told))
        if self._upstream is not None:
            self._upstream.close()

    # As a taker of the transport

    def answered(self, upstream: UpstreamResponse) -> None:
        """The head is there."""
        self._exchange = None
        self._upstream = upstream
        if self._sending.method == "initialize":
            self._channel.session = session_of(upstream)
        if self._is_over:
            upstream.close()
        elif upstream.status == _GONE and self._session and not self._resumes:
            upstream.close()
            self._again()
        elif (
            upstream.status == _UNAUTHORISED
            and not self._is_retried
            and self._channel.dispatcher.unauthorised(self._channel.server)
        ):
            upstream.close()
            self._is_retried = True
            self._task = asyncio.create_task(self._greet_first(), name="authorise again")
        elif upstream.status < _FIRST_ERROR or content_type(upstream) == b"application/json":
            upstream.pipe(ReplyReader(upstream, self._sending.number, self._taker, self._ended))
        else:
            upstream.close()
            self._lose(refused_with(upstream))

    def unanswered(self, error: Exception) -> None:
        """There will be none."""
        self._exchange = None
        self._lose(failure_of(error))

    # Within

    def _again(self) -> None:
        """The session has expired, so the server has not looked at this request."""
        if self._channel.session != self._session and self._channel.is_open:
            self.send()  # somebody else has greeted again
            return
        self._channel.expired(self._session)
        self._task = asyncio.create_task(self._greet_first(), name="greet again")

    async def _greet_first(self) -> None:
        failure = await not_opened(self._channel.open())
        if failure is not None:
            self._lose(failure)
            return
        self._task = None
        if not self._is_over:
            self.send()

    def _ended(self, why: Exception | None) -> None:
        if why is None:
            self._is_over = True
            self._upstream = None  # it leads back here
        elif isinstance(why, Ended) and self._resumes < _RESUMES_MOST:
            self._taker.paused()
            pause_s = (why.retry_ms if why.retry_ms is not None else _RESUME_MS) / 1000
            loop = asyncio.get_running_loop()
            self._task = loop.call_later(pause_s, self._resume, why.event_id)
        elif isinstance(why, Ended):
            what = "the tool server ended its stream too often"
            self._lose(Failure(error=UnavailableError("provider_unavailable", what)))
        else:
            upstream = self._upstream
            status = upstream.status if upstream is not None else 0
            if upstream is not None and status >= _FIRST_ERROR:
                self._lose(refused_with(upstream))
            else:
                self._lose(failure_of(why, status))

    def _resume(self, event_id: bytes) -> None:
        if self._is_over:
            return
        self._task = None
        self._resumes += 1
        dispatch = self._channel.resuming(event_id)
        self._exchange = self._channel.dispatcher.send(dispatch, b"", self)

    def _lose(self, failure: Failure) -> None:
        if not self._is_over:
            self._is_over = True
            self._upstream = None
            self._taker.lost(failure)


class _Head:
    """A `transport.http.Taker` for a coroutine that wants no more than the head."""

    def __init__(self, dispatcher: ToolDispatcher, dispatch: ToolDispatch, body: bytes) -> None:
        self.future: asyncio.Future[UpstreamResponse] = asyncio.get_running_loop().create_future()
        dispatcher.send(dispatch, body, self)

    def answered(self, upstream: UpstreamResponse) -> None:
        if self.future.done():
            upstream.close()
        else:
            self.future.set_result(upstream)

    def unanswered(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


def session_of(upstream: UpstreamResponse) -> bytes:
    """The session that an answer names; empty if none."""
    return header(upstream, b"mcp-session-id").encode("latin-1")

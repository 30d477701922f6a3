"""One connection of the server: requests in, handled strictly in order, answers out."""

import asyncio
from collections.abc import Coroutine
from typing import Any, cast

from ringfence.domain.error import PeerError
from ringfence.transport import framing
from ringfence.transport.deadline import NEVER
from ringfence.transport.framing import Malformed
from ringfence.transport.http import LOCAL, Handle
from ringfence.transport.message import BODY, HEAD, IDLE
from ringfence.transport.reply import HandedOver, Reply
from ringfence.transport.request import IncomingRequest
from ringfence.transport.request_reader import RequestReader
from ringfence.transport.service import Service

_TURN_MOST = 16
"""How many requests that came at once are answered before other connections have their turn."""
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection(RequestReader):
    """Implements `body.Source` and `reply.Carrier`."""

    __slots__ = (
        "_awaited_s",
        "_handle",
        "_held",
        "_is_body_held",
        "_is_going_on",
        "_is_lingering",
        "_is_reading",
        "_is_resting",
        "_reply",
        "_request",
        "_service",
        "_started",
        "_transport",
        "deadline",
        "is_lost",
        "is_write_paused",
    )

    def __init__(self, service: Service, handle: Handle | None = None) -> None:
        """Not connected yet. `handle` answers in the place of the service's own."""
        super().__init__(service.limits)
        self._service = service
        self._handle = handle or service.handle
        self._transport: asyncio.Transport
        self._awaited_s = NEVER
        self._request: IncomingRequest | None = None
        self._reply: Reply | None = None
        self._held: bytes | memoryview = b""
        self._is_reading = True
        self._is_body_held = False
        self._is_going_on = False
        self._is_resting = False
        """Others have their turn before this goes on."""
        self._started = 0
        self._is_lingering = False
        self.is_lost = False
        self.is_write_paused = False
        self.deadline = NEVER

    # From the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or refuse it if there are too many."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by name
        name = self._transport.get_extra_info("peername")
        self.peer = str(name[0]) if isinstance(name, tuple) else LOCAL
        service = self._service
        service.connections.add(self)
        service.sweeper.add(self)
        too_many = len(service.connections) > service.limits.connections * 2
        if too_many or not self._is_admitted(name):
            self._transport.abort()
        elif len(service.connections) > service.limits.connections:
            self._refuse(Malformed("too many connections", status=503))
        else:
            self._awaited_s = service.limits.headers_s
            self.deadline = service.loop.time() + self._awaited_s

    def _is_admitted(self, name: object) -> bool:
        """Whether a connection from this address may speak at all."""
        admits = self._service.admits
        return admits is None or (isinstance(name, tuple) and admits(name[1]))

    def data_received(self, data: bytes) -> None:
        """Parse, deliver, and start the next request if none is being handled."""
        if self._is_lingering or self._refusal is not None or self._is_last:
            return
        if self._held:
            self._held = bytes(self._held) + data
            return
        is_free = self._reply is None and not (self._queue or self.is_write_paused)
        if is_free and self._known is not None:
            request = self._repeated(data) if self._state == IDLE else None
            if request is not None:
                self._begin_alone(request)
                return
        self._take(data)
        self._go_on()

    def _begin_alone(self, request: IncomingRequest) -> None:
        """Start a request that came whole while nothing else was going on."""
        self._is_going_on = True  # it may be answered before this returns
        try:
            self._start(request)
        finally:
            self._is_going_on = False
        if self._reply is None:
            self._go_on()
        else:
            self._steer()

    def eof_received(self) -> None:
        """The client has closed its side: it has left, whatever it had asked."""

    def connection_lost(self, _error: Exception | None) -> None:
        """Tell everybody who waits."""
        self.is_lost = True
        self.deadline = NEVER
        self._service.left(self)
        self._queue.clear()
        self._held = b""
        incoming, self._incoming = self._incoming, None
        if incoming is not None:
            incoming.fail(ConnectionResetError("the client left"))
        reply, self._reply = self._reply, None
        self._request = None
        if reply is not None:
            reply.lost()

    def pause_writing(self) -> None:
        """The client takes too slowly."""
        self.is_write_paused = True
        self._steer()
        if self._reply is not None:
            self._reply.paused()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.is_write_paused = False
        self._steer()
        if self._reply is not None:
            self._reply.resumed()
        self._go_on()

    def expire(self) -> None:
        """The client was too slow."""
        incoming = self._incoming
        if (
            self._is_lingering
            or self.is_write_paused
            or self._transport.is_closing()
            or (incoming is not None and incoming.is_discarded)
        ):
            self._transport.abort()
        elif incoming is not None:
            self._time_out(incoming)
        elif self._state == HEAD:
            self._refuse(Malformed("the request took too long to arrive", status=408))
        else:
            self._transport.close()

    def _time_out(self, incoming: IncomingRequest) -> None:
        """The body stopped coming: for its handler the client has left."""
        incoming.fail(ConnectionResetError("the body took too long to arrive"))
        reply, self._reply = self._reply, None
        if reply is not None and reply.is_started:
            self._transport.abort()
        else:
            self._refuse(Malformed("the body took too long to arrive", status=408))
        self.is_lost = True
        if reply is not None:
            reply.lost()

    # Parsing

    def _take(self, data: bytes | memoryview) -> None:
        try:
            while data and not (self._queue and self._must_wait()):
                data = self._feed_some(data)
        except Malformed as fault:
            self._fail(fault)
            data = b""
        self._held = data

    def _must_wait(self) -> bool:
        """Whether a request waits behind another; the one to be started next may be fed."""
        return self._reply is not None or self._incoming is not self._queue[0]

    def _go_on(self) -> None:
        """Start the next request if none is being handled, then parse what was held; and again.

        A loop and not a recursion: a client may send a thousand requests at once that are all
        answered before their handler returns. After some of them the others have their turn, and
        while the client does not take its answers, no more of them are made.
        """
        if self._is_going_on or self._is_resting:
            return
        self._is_going_on = True
        before = self._started
        try:
            while not self.is_lost:
                if self._queue and self.is_write_paused:
                    break
                if self._queue and self._started - before >= _TURN_MOST:
                    self._is_resting = True
                    self._service.loop.call_soon(self._have_turn)
                    break
                if self._reply is None and not self._is_lingering and self._next():
                    continue
                if not self._held or (self._queue and self._must_wait()):
                    break
                held, self._held = self._held, b""
                self._take(held)
        finally:
            self._is_going_on = False
        self._steer()

    def _have_turn(self) -> None:
        """Go on with what is left of many requests at once."""
        self._is_resting = False
        self._go_on()

    # Handling

    def _next(self) -> bool:
        """Start the next request, and say so; else refuse, close or wait for more."""
        service = self._service
        if self._queue:
            self._started += 1
            self._start(self._queue.popleft())
            return True
        if self._refusal is not None:
            self._refuse(self._refusal)
        elif service.is_draining and self._state == IDLE and not self._held:
            self._transport.close()
        return False

    def _start(self, request: IncomingRequest) -> None:
        """Call the handler. INVARIANT: its exceptions become an answer or a cut, never more."""
        reply = Reply(self, is_head=request.method == b"HEAD", version=request.version)
        self._request = request
        self._reply = reply
        try:
            work = self._handle(request, reply)
        except Exception as error:  # noqa: BLE001 (whatever a handler raises is answered)
            self._handler_failed(request, reply, error)
            return
        if isinstance(work, Coroutine):
            reply.task = self._service.start(self._run(request, reply, work))
        elif work is not None:
            self._service.began(work)
        else:
            self._check_ended(request, reply)

    async def _run(
        self, request: IncomingRequest, reply: Reply, work: Coroutine[Any, Any, None]
    ) -> None:
        """INVARIANT: as above."""
        try:
            await work
        except asyncio.CancelledError:
            reply.abort()
            raise
        except Exception as error:  # noqa: BLE001 (whatever a handler raises is answered)
            self._handler_failed(request, reply, error)
        else:
            self._check_ended(request, reply)
        finally:
            self._service.ended(reply.task)

    def _check_ended(self, request: IncomingRequest, reply: Reply) -> None:
        if not reply.is_ended and not self.is_lost:
            silent = RuntimeError("the handler gave no whole answer")
            self._handler_failed(request, reply, silent)

    def _handler_failed(self, request: IncomingRequest, reply: Reply, error: Exception) -> None:
        if self.is_lost and isinstance(error, ConnectionError):
            return
        status, code, message = 500, "internal", "an unexpected error; it has been recorded"
        if isinstance(error, PeerError) and error.code in _STATUS:
            status, code, message = _STATUS[error.code], error.code, error.message
        else:
            self._service.on_error(request, error)
        if reply.is_started:
            reply.abort()
        else:
            headers, body = self._service.render_refusal(status, code, message)
            reply.send(status, headers, body)

    def _refuse(self, fault: Malformed) -> None:
        """Answer for the engine itself, and close."""
        code = _CODES.get(fault.status, "request_malformed")
        headers, body = self._service.render_refusal(fault.status, code, fault.message)
        own = [b"content-length: %d" % len(body), b"connection: close"]
        self.write(framing.response_head(fault.status, headers, own) + body)
        self._linger()

    # For bodies and replies

    def hold_body(self) -> None:
        """A body's reader is behind."""
        self._is_body_held = True
        self._steer()

    def release_body(self) -> None:
        """A body's reader has caught up."""
        self._is_body_held = False
        self._steer()

    def want_body(self) -> None:
        """Say that the body may come, if the client asked and nothing was answered yet."""
        request = self._request
        if request is not None and request.wants_continue:
            request.wants_continue = False
            if self._reply is not None and not self._reply.is_started:
                self.write(_CONTINUE)

    def write(self, data: bytes) -> None:
        """Send; dropped if the client has left."""
        if not self.is_lost:
            self._transport.write(data)

    def may_keep(self) -> bool:
        """Whether another request may follow: the client wants it and little is left to read."""
        request = self._request
        if request is None or not request.keep_alive or self._service.is_draining:
            return False
        if request.is_complete:
            return True
        left = self._length
        is_coming = request is self._incoming and not request.wants_continue
        return is_coming and left is not None and left <= self._service.limits.discard_bytes

    def reply_ended(self, *, keep: bool) -> None:
        """Go on to the next request, or close."""
        request, self._request = self._request, None
        self._reply = None
        if self.is_lost or request is None:
            return
        if not keep:
            if request.is_complete:
                self._is_last = True
                self._transport.close()
            else:
                self._linger()
            return
        if not request.is_complete:
            request.discard()
        if self._queue or self._held or self._refusal is not None or self._service.is_draining:
            self._go_on()
        elif not (self._is_going_on or self._is_resting):
            self._steer()  # as `_go_on` does where nothing follows

    def cut(self) -> None:
        """Close at once."""
        if not self.is_lost:
            self._transport.abort()

    def hand_over(self, opening: bytes) -> HandedOver:
        """Give the connection away after these bytes; HTTP is over on it."""
        transport, held = self._transport, bytes(self._held)
        if not transport.is_closing():
            transport.pause_reading()
        self.write(opening)
        self.is_lost = True
        self.deadline = NEVER
        self._request = self._reply = None
        self._held = b""
        self._queue.clear()
        self._service.left(self)
        return HandedOver(transport, held)

    def drain(self) -> None:
        """Close if nothing is going on; else the answer in progress is the last."""
        if self._reply is None and self._state == IDLE and not self._is_lingering:
            self._transport.close()

    # Time and flow

    def _linger(self) -> None:
        """Let the client finish sending, so that it reads our answer and not a reset."""
        self._is_lingering = True
        self._held = b""
        self._steer()
        if self._transport.can_write_eof() and not self.is_lost:
            self._transport.write_eof()

    def _steer(self) -> None:
        """After anything happened: say what must happen next until when, and read or not."""
        if self.is_lost:
            return
        wanted = self._is_lingering or not (self._queue or self._held or self._is_body_held)
        if wanted != self._is_reading and not self._transport.is_closing():
            self._is_reading = wanted
            if wanted:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()
        if self._reply is not None and not (
            self._is_lingering or self.is_write_paused or self._incoming is not None
        ):
            await_s = NEVER  # mostly, so said without asking
        else:
            await_s = self._await_s()
        if await_s != self._awaited_s or self._state == BODY:
            self._awaited_s = await_s
            self.deadline = self._service.loop.time() + await_s

    def _await_s(self) -> float:
        limits = self._service.limits
        if self._is_lingering:
            return limits.linger_s
        if self.is_write_paused:
            return limits.send_idle_s
        if self._incoming is not None and self._is_reading:
            return limits.body_idle_s
        if self._reply is not None or self._incoming is not None:
            return NEVER
        return limits.keep_alive_s if self._state == IDLE else limits.headers_s


_STATUS = {"request_too_large": 413, "request_malformed": 400}
"""Errors that the engine itself raises to handlers, which may leave them to it."""

_CODES = {
    413: "request_too_large",
    414: "request_too_large",
    431: "request_too_large",
    503: "rate_exceeded",
}

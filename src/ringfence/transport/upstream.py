"""One connection to an upstream: a request out, its answer in, then perhaps another."""

import asyncio
import select
from typing import Protocol, cast

import httptools

from ringfence.domain.error import PeerError, UnavailableError
from ringfence.transport import framing
from ringfence.transport.answer import Answer
from ringfence.transport.deadline import NEVER, Sweeper
from ringfence.transport.framing import Malformed
from ringfence.transport.http import Headers, Taker
from ringfence.transport.limits import ClientLimits
from ringfence.transport.message import BODY, IDLE, MessageReader
from ringfence.transport.upload import Upload

_JOIN_BYTES = 64 * 1024

_INTERIM_LIMIT = 16
"""More `1xx` answers than this are no progress."""

_LAST_STATUS = 599


class Keeper(Protocol):
    """The pool, as a connection sees it."""

    def free(self, line: "UpstreamConnection") -> None:
        """The exchange is over and the connection good for another."""

    def lost(self, line: "UpstreamConnection") -> None:
        """The connection is closed; called once."""


class UpstreamConnection(MessageReader):
    """Implements `body.Source`. One exchange at a time."""

    __slots__ = (
        "_answer",
        "_error",
        "_idle_s",
        "_interim",
        "_is_head_request",
        "_is_held",
        "_is_spoilt",
        "_is_waiting",
        "_keeper",
        "_loop",
        "_sweeper",
        "_taker",
        "_transport",
        "_until_close",
        "_upload",
        "address",
        "deadline",
        "has_answered",
        "is_lost",
    )

    _parser: httptools.HttpResponseParser

    def __init__(self, limits: ClientLimits, sweeper: Sweeper, keeper: Keeper) -> None:
        """Not connected yet."""
        super().__init__(head_limit=limits.header_bytes, count_limit=limits.header_count)
        self._parser = httptools.HttpResponseParser(self)
        self._sweeper = sweeper
        self._keeper = keeper
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._taker: Taker | None = None
        self._answer: Answer | None = None
        self._error: Exception | None = None
        self._idle_s = 0.0
        self._interim = 0
        self._is_head_request = False
        self._is_held = False
        self._is_waiting = False
        self._is_spoilt = False
        self._until_close = False
        self._upload: Upload | None = None
        self.address = ""
        """Where it leads, as the kernel says."""
        self.has_answered = False
        self.is_lost = False
        self.deadline = NEVER

    # For the pool

    def exchange(
        self, method: bytes, head: bytes, body: bytes | Upload, taker: Taker, idle_timeout_s: float
    ) -> None:
        """Send a request; `taker` is called when the head of its answer is there."""
        self._taker = taker
        self._idle_s = idle_timeout_s
        self._interim = 0
        self._is_head_request = method == b"HEAD"
        self._is_waiting = True
        self.has_answered = False
        self.deadline = self._loop.time() + idle_timeout_s
        if isinstance(body, Upload):
            self._upload = body
            self._transport.write(head)
            body.begin(self)
        elif len(body) <= _JOIN_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)

    def abandon(self, taker: Taker) -> None:
        """Whoever waited for this answer has gone; harmless if it was told, or another waits."""
        if self._taker is taker:
            self._taker = None
            self.give_up()

    def is_usable(self, *, ask_kernel: bool) -> bool:
        """Whether the upstream has neither closed nor said anything unasked.

        The event loop may not have noticed yet; the kernel has.
        """
        if self.is_lost or self._is_spoilt or self._transport.is_closing():
            return False
        if not ask_kernel:
            return True
        sock = self._transport.get_extra_info("socket")
        poll = select.poll()
        poll.register(sock.fileno(), select.POLLIN | select.POLLHUP)
        return not poll.poll(0)

    def give_up(self) -> None:
        """Close at once; whoever waits was or will be told."""
        self._is_spoilt = True
        self._transport.abort()

    # From the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected, and in TLS verified."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by name
        name = self._transport.get_extra_info("peername")
        self.address = str(name[0]) if isinstance(name, tuple) else ""
        self._sweeper.add(self)

    def data_received(self, data: bytes) -> None:
        """Parse, then deliver; foreign code runs only when the parser is done."""
        if not self._is_waiting:  # unasked: the connection cannot be trusted
            self.give_up()
            return
        self.has_answered = True
        self.deadline = self._loop.time() + self._idle_s
        try:
            self._feed(data)
        except Malformed as fault:
            self._fault_met(fault)
        except httptools.HttpParserUpgrade as upgrade:
            self._changed(data[upgrade.args[0] :])
        else:
            self._deliver()

    def pause_writing(self) -> None:
        """The upstream takes too slowly."""
        if self._upload is not None:
            self._upload.paused()

    def resume_writing(self) -> None:
        """The upstream has caught up."""
        if self._upload is not None:
            self._upload.resumed()

    def eof_received(self) -> None:
        """The upstream has closed its side; the transport closes too."""

    def connection_lost(self, error: Exception | None) -> None:
        """Complete an answer that ends by close; fail what waits."""
        self.is_lost = True
        self._sweeper.discard(self)
        self._keeper.lost(self)
        if not self._is_waiting:
            return
        if self._until_close and error is None and self._error is None:
            self._complete()
        else:
            self._fail(self._error or self._closed())

    def expire(self) -> None:
        """Too long idle in the pool, or no byte from the upstream for too long."""
        if self._is_waiting:
            self._error = UnavailableError(
                "provider_timeout",
                f"the upstream sent nothing for {self._idle_s:g} seconds",
            )
        self.give_up()

    def _changed(self, _rest: bytes) -> None:
        """The upstream speaks another protocol from now on, beginning with what is left."""
        self._fault_met(Malformed("the upstream changed the protocol unasked"))

    def _closed(self) -> Exception:
        if self._answer is None and not self.has_answered:
            return UnavailableError("provider_unavailable", "the upstream closed without an answer")
        return PeerError("provider_malformed", "the answer of the upstream broke off")

    def _fault_met(self, fault: Malformed) -> None:
        """Bytes after a whole answer spoil the connection, not the answer."""
        self._is_spoilt = True
        if self._answer is not None and self._state == IDLE:
            self._deliver()
            return
        self._error = PeerError("provider_malformed", fault.message)
        self._parts.clear()
        self._transport.abort()

    # Parsing

    def on_message_begin(self) -> None:
        """The first byte of an answer."""
        if self._answer is not None and self._state == IDLE:
            raise Malformed("more than one answer")
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Check the head and make the answer."""
        parser = self._parser
        pairs, _ = self._read_head()
        status = parser.get_status_code()
        version = parser.get_http_version()
        if version != "1.1" and (version != "1.0" or self._is_chunked):
            raise Malformed("the version of HTTP is not spoken here")
        if status > _LAST_STATUS:
            raise Malformed("the status is not valid")
        self._state = BODY
        if status < 200:  # noqa: PLR2004 (the first final status)
            self._skip_interim(status, pairs)
            return
        is_bodiless = self._is_head_request or not framing.has_body(status)
        self._until_close = not (is_bodiless or self._is_chunked or self._length is not None)
        self._is_spoilt = not parser.should_keep_alive() or self._until_close
        length = 0 if is_bodiless else self._length
        self._answer = Answer(self, status, pairs, length)
        if self._is_head_request and (self._is_chunked or self._length):
            self._is_spoilt = True  # llhttp would wait for the body
            self._state = IDLE

    def _skip_interim(self, status: int, _headers: Headers) -> None:
        self._interim += 1
        if status == 101 or self._interim > _INTERIM_LIMIT:  # noqa: PLR2004 (switching protocols)
            raise Malformed("the upstream did not answer")

    def on_message_complete(self) -> None:
        """The body is complete; bytes of another answer would be a fault."""
        self._state = IDLE

    def _deliver(self) -> None:
        """Give what arrived to the answer, and the answer to who waits for it."""
        answer = self._answer
        if answer is None:
            return
        is_complete = self._state == IDLE
        if self._parts:
            data = self._take_parts()
            if not self._is_head_request:
                answer.arrive(data)
        taker, self._taker = self._taker, None
        if is_complete:
            self._complete()
        if taker is not None:  # last: it may begin the next exchange on this connection
            taker.answered(answer)

    def _complete(self) -> None:
        answer, self._answer = self._answer, None
        self._is_waiting = self._until_close = False
        self._upload_over()
        is_reusable = not (
            self._is_spoilt
            or self.is_lost
            or self._transport.is_closing()
            or self._transport.get_write_buffer_size()
        )
        if is_reusable:
            if self._is_held:
                self.release_body()
            self._keeper.free(self)
        elif not self.is_lost:
            self._is_spoilt = True
            self._transport.abort()
        if answer is not None:
            answer.finish()

    def _fail(self, error: Exception) -> None:
        answer, self._answer = self._answer, None
        taker, self._taker = self._taker, None
        self._is_waiting = False
        self._upload_over()
        if taker is not None:
            taker.unanswered(error)
        elif answer is not None:
            answer.fail(error)

    def _upload_over(self) -> None:
        """An answer before the end of its request leaves the connection between two messages."""
        upload, self._upload = self._upload, None
        if upload is not None:
            if not upload.is_ended:
                self._is_spoilt = True
            upload.stop()

    # For the upload

    def write_body(self, data: bytes) -> None:
        """Send a piece of the request's body."""
        if not self.is_lost:
            self._transport.write(data)
            if not self._is_held:
                self.deadline = self._loop.time() + self._idle_s

    # For the answer

    def hold_body(self) -> None:
        """The reader is behind."""
        if not self._is_held and not self._transport.is_closing():
            self._is_held = True
            self._transport.pause_reading()
            self.deadline = NEVER

    def release_body(self) -> None:
        """The reader has caught up."""
        if self._is_held and not self._transport.is_closing():
            self._is_held = False
            self._transport.resume_reading()
            if self._is_waiting:
                self.deadline = self._loop.time() + self._idle_s

    def want_body(self) -> None:
        """Nothing needs to be said to an upstream."""

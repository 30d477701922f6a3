"""Messages between two processes over a Unix socket: in order, bounded, of one version.

A frame holds `[id, message]` in MessagePack: id 0 tells, an id above 0 asks, and the same id below
0 answers. The first frame of each side is its greeting. What is sent within one turn of the loop
leaves in one write.
"""

import asyncio
import inspect
import logging
import os
import socket
from collections.abc import Awaitable
from typing import Any, Final, Generic, Protocol, Self, TypeVar, cast, final

import msgspec

from ringfence.domain.error import PeerError, RingfenceError, UnavailableError, UsageError
from ringfence.transport.frame import Frames, frame

_LOG = logging.getLogger(__name__)

Message = TypeVar("Message")

FRAME_BYTES: Final = 256 * 1024 * 1024
"""The largest message: a worker's first, with every credential and the whole configuration."""
PENDING_BYTES: Final = 512 * 1024 * 1024
"""What may wait for a peer that does not read; beyond it the peer is given up."""
_ASKED_MOST: Final = 4_096
"""How many questions are answered at once; beyond it nothing more is read until half are."""
GREETING_S: Final = 10.0
_FAMILIES: Final[dict[str, type[RingfenceError]]] = {
    each.family: each for each in (UsageError, PeerError, UnavailableError)
}


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The answer to a question that could not be answered: an error of ours, in its parts."""

    family: str
    code: str
    message: str
    help: str


class _Greeting(msgspec.Struct, frozen=True):
    """What a side says first; read leniently, since the other may be of any version."""

    ringfence: str
    pid: int


class Receiver(Protocol[Message]):
    """Takes what the other side says, in the order in which it was said."""

    def told(self, message: Message) -> None:
        """Nobody waits for an answer."""

    def asked(self, message: Message) -> Message | Awaitable[Message]:
        """Answer at once, or later; a RingfenceError is raised again at the other side."""

    def closed(self, why: RingfenceError) -> None:
        """The link has ended; called once, after every open question has failed."""


@final
class Link(asyncio.Protocol, Generic[Message]):
    """One end of a link. INVARIANT: used by one event loop.

    `sent` and `received` count messages; `peer_pid` is known once it is open.
    """

    def __init__(self, kind: Any, version: str, receiver: Receiver[Message]) -> None:  # noqa: ANN401 (a union of structs has no type of its own)
        """Use `over`. `kind` is the union of all messages, `Failed` among them."""
        self.sent = 0
        self.received = 0
        self.peer_pid = 0
        self._version = version
        self._receiver = receiver
        self._decoder = msgspec.msgpack.Decoder(tuple[int, kind])
        self._encode = msgspec.msgpack.Encoder().encode
        self._frames = Frames(FRAME_BYTES)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._batch: list[bytes] = []
        self._batch_bytes = 0
        self._questions: dict[int, asyncio.Future[Message]] = {}
        self._last_question = 0
        self._answering: set[asyncio.Future[Any]] = set()
        self._is_pausing = False
        self._is_greeted = False
        self._why: RingfenceError | None = None
        self._open: asyncio.Future[None] = self._loop.create_future()
        self._gone: asyncio.Future[None] = self._loop.create_future()

    # What a process says

    def tell(self, message: Message) -> None:
        """Say something that needs no answer; lost if the link has ended."""
        self._send(0, message)

    def ask(self, message: Message) -> asyncio.Future[Message]:
        """Say something that is answered; it has been said, in order, when this returns.

        The future fails with the RingfenceError that the other side raised, or with
        UnavailableError `link_closed`. Whoever waits bounds the wait.
        """
        answer: asyncio.Future[Message] = self._loop.create_future()
        if self._why is not None:
            answer.set_exception(_closed(self._why))
            return answer
        self._last_question += 1
        self._questions[self._last_question] = answer
        self._send(self._last_question, message)
        return answer

    async def opened(self, greeting_s: float = GREETING_S) -> None:
        """Return when both sides have greeted.

        Raises UsageError `link_version` if the other is of another version, UnavailableError
        `link_closed` if it has gone or says nothing.
        """
        try:
            async with asyncio.timeout(greeting_s):
                await asyncio.shield(self._open)
        except TimeoutError:
            error = UnavailableError("link_closed", "the other process did not greet in time")
            self._end(error)
            raise error from None

    def close(self) -> None:
        """Send what waits and end the link."""
        self._flush()
        self._end(UnavailableError("link_closed", "the link was closed"), is_hurried=False)

    async def wait_closed(self) -> None:
        """Return when the socket is closed."""
        await asyncio.shield(self._gone)

    @property
    def is_closed(self) -> bool:
        """Whether the link has ended."""
        return self._why is not None

    # From the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self._transport = cast("asyncio.Transport", transport)
        greeting = _Greeting(ringfence=self._version, pid=os.getpid())
        self._transport.write(frame(self._encode(greeting)))

    def data_received(self, data: bytes) -> None:
        """Take what came; what cannot be read ends the link."""
        try:
            for payload in self._frames.feed(data):
                if self._why is not None:
                    return
                if self._is_greeted:
                    self._take(payload)
                else:
                    self._greet(payload)
        except RingfenceError as error:
            self._end(error)
        except msgspec.DecodeError as error:
            self._end(PeerError("link_malformed", f"a message cannot be read: {error}"))
        except Exception as error:  # noqa: BLE001 (a message that was half taken: nothing after it may be)
            _LOG.exception("a message could not be taken; the link ends")
            self._end(PeerError("link_malformed", f"a message could not be taken: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        """The other process has gone, or we have closed."""
        cause = f": {exc}" if exc is not None else ""
        self._end(UnavailableError("link_closed", f"the other process has gone{cause}"))
        if not self._gone.done():
            self._gone.set_result(None)

    # Within

    def _greet(self, payload: bytes) -> None:
        greeting = msgspec.msgpack.decode(payload, type=_Greeting)
        if greeting.ringfence != self._version:
            raise UsageError(
                "link_version",
                f"process {greeting.pid} is of version `{greeting.ringfence}`, this one of "
                f"`{self._version}`",
                help="restart the plane, so that all its processes are of one version",
            )
        self.peer_pid = greeting.pid
        self._is_greeted = True
        self._open.set_result(None)

    def _take(self, payload: bytes) -> None:
        number, message = self._decoder.decode(payload)
        self.received += 1
        if number == 0:
            self._receiver.told(message)
        elif number > 0:
            self._answer(number, message)
        else:
            question = self._questions.pop(-number, None)
            if question is not None and not question.done():
                if isinstance(message, Failed):
                    question.set_exception(_error(message))
                else:
                    question.set_result(message)

    def _answer(self, number: int, message: Message) -> None:
        try:
            answer = self._receiver.asked(message)
        except Exception as error:  # noqa: BLE001 (whoever asked is told)
            self._send(-number, _failed(error))
            return
        if not inspect.isawaitable(answer):
            self._send(-number, answer)
            return
        task = asyncio.ensure_future(answer)
        self._answering.add(task)
        task.add_done_callback(lambda done: self._answered(number, done))
        if len(self._answering) >= _ASKED_MOST and not self._is_pausing:
            self._is_pausing = True
            if self._transport is not None:
                self._transport.pause_reading()

    def _answered(self, number: int, done: asyncio.Future[Any]) -> None:
        self._answering.discard(done)
        if self._is_pausing and len(self._answering) < _ASKED_MOST // 2:
            self._is_pausing = False
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()
        if done.cancelled():
            error = UnavailableError("link_closed", "the question was given up")
            self._send(-number, _failed(error))
            return
        failure = done.exception()
        self._send(-number, _failed(failure) if failure is not None else done.result())

    def _send(self, number: int, message: object) -> None:
        if self._why is not None:
            return
        data = frame(self._encode((number, message)))
        if len(data) > FRAME_BYTES or self._pending_bytes() + len(data) > PENDING_BYTES:
            self._end(UnavailableError("link_closed", "the other process does not read"))
            return
        if not self._batch:
            self._loop.call_soon(self._flush)
        self._batch.append(data)
        self._batch_bytes += len(data)
        self.sent += 1

    def _pending_bytes(self) -> int:
        waiting = self._transport.get_write_buffer_size() if self._transport is not None else 0
        return self._batch_bytes + waiting

    def _flush(self) -> None:
        if self._batch and self._transport is not None and self._why is None:
            self._transport.write(b"".join(self._batch))
        self._batch.clear()
        self._batch_bytes = 0

    def _end(self, why: RingfenceError, *, is_hurried: bool = True) -> None:
        """End once. Unless hurried, what was said before is still sent."""
        if self._why is not None:
            return
        self._why = why
        if self._transport is not None and is_hurried:
            self._transport.abort()
        elif self._transport is not None:
            self._transport.close()
        for task in tuple(self._answering):
            task.cancel()
        questions, self._questions = self._questions, {}
        for question in questions.values():
            if not question.done():
                question.set_exception(_closed(why))
                question.exception()  # whoever still waits is told; nobody need be
        if not self._open.done():
            self._open.set_exception(why)
            self._open.exception()
        self._receiver.closed(why)

    @classmethod
    async def over(
        cls,
        sock: socket.socket,
        kind: Any,  # noqa: ANN401 (as above)
        version: str,
        receiver: Receiver[Message],
        *,
        greeting_s: float = GREETING_S,
    ) -> Self:
        """Open a link over a connected stream socket, and return when both sides have greeted.

        Raises UsageError `link_version`, UnavailableError `link_closed`.
        """
        loop = asyncio.get_running_loop()
        link = cls(kind, version, receiver)
        sock.setblocking(False)  # noqa: FBT003 (the argument has no name)
        await loop.create_unix_connection(lambda: link, sock=sock)
        await link.opened(greeting_s)
        return link


def _failed(error: BaseException) -> Failed:
    if isinstance(error, RingfenceError):
        return Failed(error.family, error.code, error.message, error.help)
    _LOG.error("a question could not be answered", exc_info=error)
    return Failed(UnavailableError.family, "internal", "the other process failed unexpectedly", "")


def _error(failed: Failed) -> RingfenceError:
    family = _FAMILIES.get(failed.family, UnavailableError)
    return family(failed.code, failed.message, help=failed.help)


def _closed(why: RingfenceError) -> UnavailableError:
    """An error of its own for each who waits."""
    error = UnavailableError("link_closed", f"the link to the other process ended: {why.message}")
    error.__cause__ = why
    return error

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
from collections.abc import Awaitable, Callable, Generator
from functools import partial
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
GREETING_S: Final = 30.0
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


@final
class Later(Generic[Message]):
    """An answer that is passed on in the same turn of the loop in which it is given.

    What a future does, without the two turns that one costs; it can be awaited like one, once.
    """

    __slots__ = ("_given", "_pass_on", "is_over")

    def __init__(self) -> None:
        """Not given yet."""
        self.is_over = False
        """Whether it is given, or nobody waits for it any more."""
        self._given: Message | None = None
        self._pass_on: Callable[[Message], None] | None = None

    def give(self, answer: Message) -> None:
        """Answer; nothing if that is over."""
        if not self.is_over:
            self.is_over = True
            if self._pass_on is None:
                self._given = answer
            else:
                self._pass_on(answer)

    def then(self, pass_on: Callable[[Message], None]) -> None:
        """Whom to pass it on to: at once, if it is there."""
        self._pass_on = pass_on
        if self._given is not None:
            pass_on(self._given)

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        self.is_over = True

    def __await__(self) -> Generator[Any, None, Message]:
        """As a future would."""
        waiting: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        waiting.add_done_callback(lambda done: self.cancel() if done.cancelled() else None)
        self.then(partial(_settle, waiting))
        return waiting.__await__()


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

    `sent` and `received` count messages; `peer_pid` is known once it is open. With `asked_most`
    questions that are not answered yet, no more is read.
    """

    def __init__(self, kind: Any, version: str, receiver: Receiver[Message]) -> None:  # noqa: ANN401 (a union of structs has no type of its own)
        """Use `over`. `kind` is the union of all messages, `Failed` among them."""
        self.sent = 0
        self.received = 0
        self.peer_pid = 0
        self.asked_most = _ASKED_MOST
        self._version = version
        self._receiver = receiver
        self._decoder = msgspec.msgpack.Decoder(tuple[int, kind])
        self._encode = msgspec.msgpack.Encoder().encode
        self._frames = Frames(FRAME_BYTES)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._batch: list[bytes] = []
        self._batch_bytes = 0
        self._questions: dict[int, Callable[[Message | RingfenceError], None]] = {}
        self._last_question = 0
        self._answering: set[asyncio.Future[Any] | Later[Message]] = set()
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
        self.begin(message, partial(_settle, answer))
        return answer

    def begin(self, message: Message, answered: Callable[[Message | RingfenceError], None]) -> None:
        """Ask as `ask` does; `answered` is called in the turn in which the answer comes, once.

        What it raises ends the link.
        """
        if self._why is not None:
            answered(_closed(self._why))
            return
        self._last_question += 1
        self._questions[self._last_question] = answered
        self._send(self._last_question, message)

    def flush(self) -> None:
        """Let what was said in this turn leave now; else it does in the next."""
        if self._batch and self._transport is not None and self._why is None:
            self._transport.write(b"".join(self._batch))
        self._batch.clear()
        self._batch_bytes = 0

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
        self.flush()
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
            answered = self._questions.pop(-number, None)
            if answered is not None:
                answered(_error(message) if isinstance(message, Failed) else message)

    def _answer(self, number: int, message: Message) -> None:
        try:
            answer = self._receiver.asked(message)
        except Exception as error:  # noqa: BLE001 (whoever asked is told)
            self._send(-number, _failed(error))
            return
        if isinstance(answer, Later):
            self._await(answer)
            answer.then(partial(self._given, number, answer))
        elif inspect.isawaitable(answer):
            task = asyncio.ensure_future(answer)
            self._await(task)
            task.add_done_callback(lambda done: self._answered(number, done))
        else:
            self._send(-number, answer)

    def _await(self, answer: asyncio.Future[Any] | Later[Message]) -> None:
        """An answer is awaited: with too many of them, no more questions are taken."""
        self._answering.add(answer)
        if len(self._answering) >= self.asked_most and not self._is_pausing:
            self._is_pausing = True
            if self._transport is not None:
                self._transport.pause_reading()

    def _have(self, answer: asyncio.Future[Any] | Later[Message]) -> None:
        self._answering.discard(answer)
        if self._is_pausing and len(self._answering) < self.asked_most // 2:
            self._is_pausing = False
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()

    def _given(self, number: int, later: Later[Message], answer: Message) -> None:
        self._have(later)
        self._send(-number, answer)

    def _answered(self, number: int, done: asyncio.Future[Any]) -> None:
        self._have(done)
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
            self._loop.call_soon(self.flush)
        self._batch.append(data)
        self._batch_bytes += len(data)
        self.sent += 1

    def _pending_bytes(self) -> int:
        waiting = self._transport.get_write_buffer_size() if self._transport is not None else 0
        return self._batch_bytes + waiting

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
        for answered in questions.values():
            try:
                answered(_closed(why))
            except Exception:  # noqa: BLE001 (every other question is to be told, too)
                _LOG.exception("whoever asked could not be told that the link has ended")
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


def _settle(waiting: "asyncio.Future[Message]", answer: Message | RingfenceError) -> None:
    if waiting.done():  # nobody waits any more
        return
    if isinstance(answer, RingfenceError):
        waiting.set_exception(answer)
        if answer.code == "link_closed":
            waiting.exception()  # whoever still waits is told; nobody need be
    else:
        waiting.set_result(answer)


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

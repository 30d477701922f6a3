"""The run socket: where the monitors of sandboxes join the worker that serves them."""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Awaitable
from pathlib import Path
from typing import Final, Protocol, final

import msgspec

from ringfence.domain.error import PeerError, RingfenceError, UnavailableError, UsageError
from ringfence.domain.monitoring import (
    HEARTBEAT_S,
    SILENCE_S,
    CallRefused,
    Changed,
    Close,
    Ended,
    Evidence,
    ExecAnswer,
    ExecAsked,
    ExecDiffers,
    ExecWaits,
    Exited,
    Heartbeat,
    Join,
    Joined,
    Kill,
    LateCodeFound,
    Noted,
    PeerAnnounced,
    Ready,
)
from ringfence.domain.sandbox import SandboxEnd
from ringfence.enforcement.sandbox import LiveSandbox
from ringfence.enforcement.sandbox_registry import Sandboxes
from ringfence.sandbox import control_group
from ringfence.sandbox.plane_message import VERSION, Message
from ringfence.transport import unix_socket
from ringfence.transport.frame import LENGTH_BYTES
from ringfence.transport.link import Link

_LOG = logging.getLogger(__name__)

_JOIN_S: Final = 10.0
_JOIN_BYTES: Final = 1 << 20
_LISTENERS_MOST: Final = 16
_GROUPS_MOST: Final = 4
"""Of a sandbox: one in each hierarchy."""
_WAITING_MOST: Final = 50_000
"""How many execs of one sandbox may wait for an answer, perhaps a person's: heartbeats and ends of
processes must come through meanwhile, and its processes are bounded by themselves."""
_END_S: Final = 8.0
"""How long a monitor may take to end a sandbox: it lets processes end in order first."""


class CommandWatch(Protocol):
    """Decides and records what runs in a sandbox."""

    def asked(self, sandbox: LiveSandbox, asked: ExecAsked, /) -> Awaitable[ExecAnswer]:
        """Whether a program may run; an answer may wait for a person."""

    def exited(self, sandbox: LiveSandbox, exited: Exited, /) -> None:
        """A process has ended."""

    def differs(self, sandbox: LiveSandbox, differs: ExecDiffers, /) -> None:
        """A process runs something else than what was asked about."""

    def call_refused(self, sandbox: LiveSandbox, refused: CallRefused, /) -> None:
        """Something was tried that came to nothing."""

    def evidence(self, sandbox: LiveSandbox, evidence: Evidence, /) -> None:
        """Something was seen that proves nothing by itself."""

    def changed(self, sandbox: LiveSandbox, changed: Changed, /) -> None:
        """What became of the workspace."""

    def late_code(self, sandbox: LiveSandbox, found: LateCodeFound, /) -> None:
        """A file would have run later on the host."""


@final
class SandboxSocket:
    """Accepts monitors of this machine's same user. Made inside the running loop."""

    def __init__(self, sandboxes: Sandboxes, watch: CommandWatch) -> None:
        """Nothing is open yet."""
        self._sandboxes = sandboxes
        self._watch = watch
        self._loop = asyncio.get_running_loop()
        self._listener: socket.socket | None = None
        self._meetings: set[asyncio.Task[None]] = set()

    def listen(self, path: Path) -> None:
        """Accept monitors; the folder and the peer's uid decide who can be one.

        Raises UsageError `data_folder_unusable`.
        """
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            path.unlink(missing_ok=True)
            unix_socket.bind(listener, path)
            listener.listen()
        except OSError as error:
            listener.close()
            raise UsageError(
                "data_folder_unusable",
                f"no socket can be made at `{path}`: {error.strerror or error}",
                help="name another data folder with --data",
            ) from error
        listener.settimeout(0)
        self._listener = listener
        self._loop.add_reader(listener, self._accept, listener)

    def shut(self) -> None:
        """Accept no more."""
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    async def close(self) -> None:
        """Let go of whoever is still there."""
        self.shut()
        for meeting in tuple(self._meetings):
            meeting.cancel()
        await asyncio.gather(*self._meetings, return_exceptions=True)

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        uid = unix_socket.peer_uid(connection)
        if uid is not None and uid != os.geteuid():
            _LOG.warning("user %d may not join sandboxes of this plane", uid)
            connection.close()
            return
        connection.settimeout(0)
        meeting = self._loop.create_task(self._meet(connection))
        self._meetings.add(meeting)
        meeting.add_done_callback(self._meetings.discard)

    async def _meet(self, connection: socket.socket) -> None:
        """Take the listeners, then speak for as long as the sandbox lives."""
        descriptors: list[int] = []
        session = _Session(self._sandboxes, self._watch)
        try:
            async with asyncio.timeout(_JOIN_S):
                join = await self._join(connection, descriptors)
                session.take(join, descriptors)
                link = await Link[Message].over(connection, Message, VERSION, session)
                link.asked_most = _WAITING_MOST
        except (RingfenceError, OSError, TimeoutError) as error:
            _LOG.warning("a monitor could not join: %s", error)
            session.drop()
            for each in descriptors:
                with contextlib.suppress(OSError):
                    os.close(each)
            connection.close()
            return
        try:
            await session.serve(link)
        finally:
            link.close()

    async def _join(self, connection: socket.socket, descriptors: list[int]) -> Join:
        """Read exactly the first frame: what follows belongs to the link.

        Raises PeerError `join_malformed`, OSError.
        """
        head = await self._receive(connection, LENGTH_BYTES, descriptors)
        size = int.from_bytes(head, "big")
        if size > _JOIN_BYTES:
            raise PeerError("join_malformed", "what a monitor said first is too long")
        payload = await self._receive(connection, size, descriptors)
        try:
            join = msgspec.msgpack.decode(payload, type=Join)
        except msgspec.DecodeError as error:
            raise PeerError("join_malformed", f"a monitor cannot be understood: {error}") from error
        if len(join.kinds) != len(descriptors):
            raise PeerError("join_malformed", "a monitor named other listeners than it gave")
        return join

    async def _receive(
        self, connection: socket.socket, count: int, descriptors: list[int]
    ) -> bytes:
        data = b""
        while len(data) < count:
            await self._readable(connection)
            piece, fds, _, _ = socket.recv_fds(
                connection, count - len(data), _LISTENERS_MOST, socket.MSG_CMSG_CLOEXEC
            )
            descriptors.extend(fds)
            if not piece:
                raise PeerError("join_malformed", "a monitor left before it had joined")
            data += piece
        return data

    async def _readable(self, connection: socket.socket) -> None:
        ready: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(connection, _wake, ready)
        try:
            await ready
        finally:
            self._loop.remove_reader(connection)


@final
class _Session:
    """One monitor from its joining to the end of its sandbox; a `Receiver` and a `Monitor`."""

    def __init__(self, sandboxes: Sandboxes, watch: CommandWatch) -> None:
        self._sandboxes = sandboxes
        self._watch = watch
        self._loop = asyncio.get_running_loop()
        self._join: Join | None = None
        self._groups: tuple[str, ...] = ()
        self._listeners: list[socket.socket] = []
        self._link: Link[Message] | None = None
        self._box: LiveSandbox | None = None
        self._heard_s = self._loop.time()
        self._is_over = asyncio.Event()

    def take(self, join: Join, descriptors: list[int]) -> None:
        """Own the listeners from now on; the list is emptied."""
        if join.version != VERSION:
            raise UsageError(
                "link_version",
                f"`ringfence run` is of version `{join.version}`, the plane of `{VERSION}`",
                help="restart the plane, so that both are of one version",
            )
        self._join = join
        self._groups = join.groups[:_GROUPS_MOST]
        while descriptors:
            self._listeners.append(socket.socket(fileno=descriptors.pop(0)))

    def drop(self) -> None:
        """Close what nobody serves."""
        for each in self._listeners:
            each.close()
        self._listeners = []

    async def serve(self, link: Link[Message]) -> None:
        """Return when the link has ended."""
        self._link = link
        try:
            while not self._is_over.is_set():
                link.tell(Heartbeat())
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._is_over.wait(), HEARTBEAT_S)
                if self._loop.time() - self._heard_s > SILENCE_S:
                    _LOG.warning("the monitor of a sandbox says nothing any more")
                    break
        finally:
            self.drop()
            if self._box is not None:
                await self._sandboxes.close(self._box.id, SandboxEnd.MONITOR_LOST)
            # A monitor that was killed leaves its groups, and in reduced perhaps processes in them.
            if self._groups:
                await asyncio.to_thread(control_group.reap, self._groups)

    # `Receiver`

    def told(self, message: Message) -> None:
        """What needs no answer."""
        self._heard_s = self._loop.time()
        if isinstance(message, Heartbeat):
            return
        box = self._open()
        match message:
            case Exited():
                self._watch.exited(box, message)
            case ExecDiffers():
                self._watch.differs(box, message)
            case CallRefused():
                self._watch.call_refused(box, message)
            case Evidence():
                self._watch.evidence(box, message)
            case Changed():
                self._watch.changed(box, message)
            case LateCodeFound():
                self._watch.late_code(box, message)
            case _:
                raise _unexpected(message)

    def asked(self, message: Message) -> Message | Awaitable[Message]:
        """What is answered."""
        self._heard_s = self._loop.time()
        match message:
            case Ready():
                return self._ready()
            case ExecAsked():
                return self._watch.asked(self._open(), message)
            case PeerAnnounced(port):
                self._open().announce(port)
                return Noted()
            case Ended():
                return self._ended(message)
            case _:
                raise _unexpected(message)

    def closed(self, why: RingfenceError) -> None:
        """The monitor has gone: so has its sandbox."""
        del why
        self._is_over.set()

    # `Monitor`

    async def end(self, close: Close) -> Ended | None:
        """Have it end every process; None if it does not say in time that it has."""
        link = self._link
        if link is None or link.is_closed:
            return None
        try:
            async with asyncio.timeout(_END_S):
                answer = await link.ask(close)
        except (TimeoutError, RingfenceError):
            return None
        finally:
            self._is_over.set()
        return answer if isinstance(answer, Ended) else None

    def tell(self, message: ExecWaits | Kill) -> None:
        """Say something that needs no answer."""
        if self._link is not None:
            self._link.tell(message)

    # Within

    async def _ready(self) -> Message:
        join, self._join = self._join, None
        if join is None:
            raise PeerError("join_malformed", "a monitor joins once")
        listeners, self._listeners = self._listeners, []
        pairs = tuple(zip(join.kinds, listeners, strict=True))
        try:
            self._box = await self._sandboxes.join(join, pairs, self)
        except BaseException:
            for each in listeners:
                each.close()
            raise
        return Joined(sandbox=self._box.id, invocation=self._box.sandbox.invocation)

    def _open(self) -> LiveSandbox:
        if self._box is None:
            raise UnavailableError("sandbox_over", "this sandbox has not begun")
        return self._box

    async def _ended(self, ended: Ended) -> Message:
        await self._sandboxes.close(self._open().id, ended.why, ended=ended)
        return Noted()


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _unexpected(message: Message) -> PeerError:
    return PeerError("link_malformed", f"a worker does not take `{type(message).__name__}`")

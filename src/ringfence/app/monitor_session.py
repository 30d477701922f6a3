"""One monitor on the run socket, from its joining to the end of its sandbox."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable
from typing import Final, Protocol, final

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
from ringfence.transport.link import Link

_LOG = logging.getLogger(__name__)

_GROUPS_MOST: Final = 4
"""Of a sandbox: one in each hierarchy."""
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
class MonitorSession:
    """A `transport.link.Receiver` and an `enforcement.sandbox.Monitor`."""

    def __init__(self, sandboxes: Sandboxes, watch: CommandWatch) -> None:
        """Nobody has joined yet. Made inside the running loop."""
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


def _unexpected(message: Message) -> PeerError:
    return PeerError("link_malformed", f"a worker does not take `{type(message).__name__}`")

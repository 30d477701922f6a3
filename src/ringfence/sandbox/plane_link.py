"""A monitor's way to the worker that serves its sandbox: joining, asking, hearing of its end."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final, Protocol, final

import msgspec

from ringfence.domain.error import PeerError, RingfenceError, UnavailableError
from ringfence.domain.monitoring import (
    HEARTBEAT_S,
    SILENCE_S,
    Close,
    Ended,
    ExecWaits,
    Heartbeat,
    Join,
    Joined,
    Kill,
    Ready,
)
from ringfence.domain.sandbox import ListenerKind
from ringfence.sandbox.plane_message import VERSION, Message
from ringfence.transport import unix_socket
from ringfence.transport.frame import frame
from ringfence.transport.link import Link

_CONNECT_S: Final = 20.0
_READY_S: Final = 60.0
"""How long the plane may take to put a start on record."""


class Watcher(Protocol):
    """Whoever looks after a sandbox on this side."""

    async def end(self, close: Close, /) -> Ended:
        """The plane ends it: return when every process is gone."""

    def lost(self, why: str, /) -> None:
        """The plane has gone, or says nothing any more."""


@final
class PlaneLink:
    """One sandbox's link, from its joining to its end; used by one event loop."""

    def __init__(self, watcher: Watcher) -> None:
        """Not joined yet."""
        self._watcher = watcher
        self.on_command: Callable[[ExecWaits | Kill], None] = lambda _: None
        """Told what the plane says of a command beside its answer."""
        self._loop = asyncio.get_running_loop()
        self._link: Link[Message] | None = None
        self._heard_s = self._loop.time()
        self._beating: asyncio.Task[None] | None = None
        self._is_leaving = False

    async def join(
        self, address: str, join: Join, listeners: Sequence[tuple[ListenerKind, socket.socket]]
    ) -> Joined:
        """Hand over the listeners and wait until the start is on record.

        Raises UnavailableError `plane_gone`, and what the plane refuses with.
        """
        join = msgspec.structs.replace(
            join, version=VERSION, kinds=tuple(kind for kind, _ in listeners)
        )
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(_CONNECT_S)
            unix_socket.connect(connection, Path(address))
            payload = frame(msgspec.msgpack.encode(join))
            sent = socket.send_fds(connection, [payload], [each.fileno() for _, each in listeners])
            connection.sendall(payload[sent:])
        except OSError as error:
            connection.close()
            raise UnavailableError(
                "plane_gone", "the plane cannot be joined", help="see its log"
            ) from error
        self._link = await Link[Message].over(connection, Message, VERSION, self)
        self._beating = self._loop.create_task(self._beat(self._link))
        joined = await self.ask(Ready(), _READY_S)
        if not isinstance(joined, Joined):
            raise PeerError("link_malformed", "the plane's answer is not one to this question")
        return joined

    async def ask(self, message: Message, limit_s: float | None) -> Message:
        """Say something that is answered.

        Raises the error that the plane answers with, UnavailableError `plane_gone` or
        `plane_silent`.
        """
        if self._link is None:
            raise UnavailableError("plane_gone", "the plane was not joined")
        try:
            async with asyncio.timeout(limit_s):
                return await self._link.ask(message)
        except TimeoutError:
            raise UnavailableError("plane_silent", "the plane does not answer in time") from None

    def begin(self, message: Message, answered: Callable[[Message | RingfenceError], None]) -> None:
        """Ask without a bound on the answer; said, in order, when this returns.

        `answered` is called once, with the answer or with why there is none.
        """
        if self._link is None:
            answered(UnavailableError("plane_gone", "the plane was not joined"))
        else:
            self._link.begin(message, answered)

    def flush(self) -> None:
        """Let what was said in this turn leave now."""
        if self._link is not None:
            self._link.flush()

    @property
    def silent_s(self) -> float:
        """For how long the plane has said nothing."""
        return self._loop.time() - self._heard_s

    def tell(self, message: Message) -> None:
        """Say something that needs no answer."""
        if self._link is not None:
            self._link.tell(message)

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be said any more."""
        return self._link is None or self._link.is_closed

    async def wait_closed(self, limit_s: float) -> None:
        """Return when the plane has closed the link, or after so long."""
        if self._link is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._link.wait_closed(), limit_s)

    def close(self) -> None:
        """Leave; the plane takes what was said last before."""
        self._is_leaving = True
        if self._beating is not None:
            self._beating.cancel()
        if self._link is not None:
            self._link.close()

    # `Receiver`

    def told(self, message: Message) -> None:
        """It is alive, or says something of a command."""
        self._heard_s = self._loop.time()
        match message:
            case Heartbeat():
                pass
            case ExecWaits() | Kill():
                self.on_command(message)
            case _:
                raise PeerError("link_malformed", "a monitor is told nothing else")

    def asked(self, message: Message) -> Message | Awaitable[Message]:
        """It ends the sandbox."""
        self._heard_s = self._loop.time()
        if not isinstance(message, Close):
            raise PeerError("link_malformed", "a monitor is asked nothing else")
        return self._watcher.end(message)

    def closed(self, why: RingfenceError) -> None:
        """It has gone."""
        if not self._is_leaving:
            self._watcher.lost(f"the plane has gone ({why.message})")

    async def _beat(self, link: Link[Message]) -> None:
        while not link.is_closed:
            link.tell(Heartbeat())
            await asyncio.sleep(HEARTBEAT_S)
            if self.silent_s > SILENCE_S:
                self._watcher.lost(f"the plane has said nothing for {self.silent_s:.0f} s")
                return

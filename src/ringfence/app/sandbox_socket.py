"""The run socket: where the monitors of sandboxes join the worker that serves them."""

import asyncio
import contextlib
import logging
import os
import socket
from pathlib import Path
from typing import Final, final

import msgspec

from ringfence.app.monitor_session import CommandWatch, MonitorSession
from ringfence.domain.error import PeerError, RingfenceError, UsageError
from ringfence.domain.monitoring import Join
from ringfence.enforcement.sandbox_registry import Sandboxes
from ringfence.sandbox.plane_message import VERSION, Message
from ringfence.transport import unix_socket
from ringfence.transport.frame import LENGTH_BYTES
from ringfence.transport.link import Link

_LOG = logging.getLogger(__name__)

_JOIN_S: Final = 10.0
_JOIN_BYTES: Final = 1 << 20
_LISTENERS_MOST: Final = 16
_WAITING_MOST: Final = 50_000
"""How many execs of one sandbox may wait for an answer, perhaps a person's: heartbeats and ends of
processes must come through meanwhile, and its processes are bounded by themselves."""


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
        session = MonitorSession(self._sandboxes, self._watch)
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


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)

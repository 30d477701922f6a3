"""A child process that speaks in lines on its standard streams, and ends with this one.

It is started in a process group of its own. A guard, which is nothing but a shell that waits for
this process to go, kills the whole group if this process is killed before it could do so itself.
"""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Mapping, Sequence
from typing import Final, Protocol, cast, final

from ringfence.domain.error import UnsentError

_LOG = logging.getLogger(__name__)

LINE_BYTES: Final = 64 * 1024 * 1024
_STDOUT, _STDERR = 1, 2
_STOP_S: Final = 2.0
"""How long each stage of ending may take: closing its input, SIGTERM, SIGKILL."""
_LOG_CHARACTERS: Final = 2000
_LOG_LINES_MOST: Final = 1000
"""Per process and minute; a process that logs more is cut short."""
_MINUTE_S: Final = 60.0
_HIDDEN: Final = b"(secret)"
_GUARD: Final = 'read _; kill -s KILL -- "-$1"'


class Listener(Protocol):
    """Told what a process says. Neither may raise."""

    def line(self, data: bytes, /) -> None:
        """One line of its standard output, without its end."""

    def ended(self, why: str, /) -> None:
        """It has ended; told once."""


@final
class Child(asyncio.SubprocessProtocol):
    """One process. `start` makes one."""

    def __init__(self, name: str, listener: Listener, hidden: Sequence[bytes]) -> None:
        """`hidden` are texts that its log must not show; `name` is for the log."""
        self._name = name
        self._listener = listener
        self._hidden = [each for each in hidden if each]
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.SubprocessTransport | None = None
        self._guard: _Guard | None = None
        self._dismissing: asyncio.Task[None] | None = None
        self._kept = bytearray()
        self._logged = bytearray()
        self._log_lines = 0
        self._log_since_s = 0.0
        self._over = asyncio.Event()
        self.is_over = False

    @classmethod
    async def start(
        cls,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        listener: Listener,
        hidden: Sequence[bytes] = (),
    ) -> "Child":
        """Start it with exactly this environment. Raises UnsentError `provider_unavailable`."""
        child = cls(name, listener, hidden)
        try:
            transport, _ = await child._loop.subprocess_exec(
                lambda: child, *command, env=dict(environment), start_new_session=True
            )
            guard = await _Guard.over(transport.get_pid())
        except (OSError, ValueError) as error:
            child._abandon()
            what = f"the tool server's command cannot be started: {error}"
            raise UnsentError("provider_unavailable", what) from error
        except BaseException:
            child._abandon()
            raise
        _LOG.info("%s: its process has begun (pid %s)", name, child.pid)
        child._guard = guard
        if child.is_over:  # it ended while its guard was being started
            child._dismissing = None
            child._dismiss()
        return child

    @property
    def pid(self) -> int:
        """Its process id, which is also that of its group; 0 if it has none."""
        return 0 if self._transport is None else self._transport.get_pid() or 0

    def send(self, line: bytes) -> None:
        """Write one line. Raises UnsentError if it has ended."""
        pipe = None if self._transport is None else self._transport.get_pipe_transport(0)
        if self.is_over or pipe is None or pipe.is_closing():
            raise UnsentError("provider_unavailable", "the tool server's process has ended")
        cast("asyncio.WriteTransport", pipe).write(line + b"\n")

    async def stop(self) -> None:
        """End it: close its input, then ask, then kill; with everything that it has started."""
        transport = self._transport
        if transport is None:
            return
        pipe = transport.get_pipe_transport(0)
        if pipe is not None:
            pipe.close()
        for number in (0, signal.SIGTERM, signal.SIGKILL):
            if number:
                self._kill(number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP_S):
                    await self._over.wait()
                break
        self._kill(signal.SIGKILL)  # what it left behind in its group
        await self._dismiss()

    # From the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It has begun; it may be over before whoever starts it hears of that."""
        self._transport = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """It says something."""
        if fd == _STDERR:
            self._log(data)
            return
        self._kept += data
        if b"\n" not in data:
            if len(self._kept) > LINE_BYTES:
                self._kept.clear()
                self._kill(signal.SIGKILL)
            return
        *lines, rest = bytes(self._kept).split(b"\n")
        self._kept = bytearray(rest)
        for line in lines:
            if line.strip():
                self._listener.line(line)

    def process_exited(self) -> None:
        """It has gone."""
        if self.is_over:
            return
        self.is_over = True
        self._over.set()
        code = None if self._transport is None else self._transport.get_returncode()
        _LOG.info("%s: its process has ended with %s", self._name, code)
        self._kill(signal.SIGKILL)
        self._dismiss()
        self._listener.ended(f"the tool server's process has ended (exit code {code})")

    # Within

    def _abandon(self) -> None:
        """Nobody will ever hold it: end what has begun of it."""
        self._kill(signal.SIGKILL)
        if self._transport is not None:
            self._transport.close()

    def _kill(self, number: int) -> None:
        """Send a signal to its whole group."""
        pid = self.pid
        if pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, number)

    def _dismiss(self) -> asyncio.Task[None]:
        """End the guard; there is nothing left to guard."""
        if self._dismissing is None:
            work = _end(self._guard, self._transport)
            self._dismissing = self._loop.create_task(work, name="dismiss")
        return self._dismissing

    def _log(self, data: bytes) -> None:
        self._logged += data
        *lines, rest = bytes(self._logged).split(b"\n")
        self._logged = bytearray(rest[-_LOG_CHARACTERS:])
        now_s = self._loop.time()
        if now_s - self._log_since_s > _MINUTE_S:
            self._log_since_s, self._log_lines = now_s, 0
        for line in lines:
            self._log_lines += 1
            if self._log_lines <= _LOG_LINES_MOST and line.strip():
                _LOG.info("%s says: %s", self._name, self._shown(line))

    def _shown(self, line: bytes) -> str:
        for secret in self._hidden:
            line = line.replace(secret, _HIDDEN)
        text = line[:_LOG_CHARACTERS].decode("utf-8", "replace")
        return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


async def _end(guard: "_Guard | None", transport: asyncio.SubprocessTransport | None) -> None:
    if transport is not None:
        transport.close()
    if guard is not None:
        await guard.dismiss()


@final
class _Guard(asyncio.SubprocessProtocol):
    """The shell that kills a group when this process is no more."""

    def __init__(self) -> None:
        self._gone = asyncio.Event()
        self._transport: asyncio.SubprocessTransport | None = None

    @classmethod
    async def over(cls, group: int | None) -> "_Guard":
        """Guard a process group. Raises OSError."""
        loop = asyncio.get_running_loop()
        guard = cls()
        guard._transport, _ = await loop.subprocess_exec(
            lambda: guard,
            "/bin/sh",
            "-c",
            _GUARD,
            "guard",
            str(group),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            env={},
        )
        return guard

    def process_exited(self) -> None:
        self._gone.set()

    async def dismiss(self) -> None:
        """There is nothing left to guard."""
        if self._transport is not None:
            with contextlib.suppress(ProcessLookupError):
                self._transport.kill()
            try:
                await self._gone.wait()
            finally:  # also where the loop ends before it has
                self._transport.close()


class Pace:
    """How soon a process that keeps ending is started again: each time twice as late."""

    FIRST_S: Final = 0.5
    LONGEST_S: Final = 30.0
    STEADY_S: Final = 60.0
    """Who has run for so long has not failed at the start."""

    def __init__(self) -> None:
        """It has never failed."""
        self._failures = 0
        self._began_s = 0.0
        self._not_before_s = 0.0

    def begin(self, now_s: float) -> None:
        """It is started. Raises UnsentError `provider_unavailable` if that is too soon."""
        if now_s < self._not_before_s:
            left_s = self._not_before_s - now_s
            what = (
                f"the tool server's process ended {self._failures} times in a row and is started "
                f"again in {left_s:.1f} seconds"
            )
            raise UnsentError("provider_unavailable", what)
        self._began_s = now_s

    def ended(self, now_s: float) -> None:
        """It has ended by itself."""
        is_steady = now_s - self._began_s >= self.STEADY_S
        self._failures = 1 if is_steady else self._failures + 1
        if self._failures > 1:  # once is bad luck
            pause_s = self.FIRST_S * 2.0 ** min(self._failures - 2, 16)
            self._not_before_s = now_s + min(self.LONGEST_S, pause_s)

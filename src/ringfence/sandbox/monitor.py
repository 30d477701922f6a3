"""The process beside a sandbox: ties its life to the plane's, and passes signals and time on."""

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol, final

from ringfence.domain.error import RingfenceError, UnavailableError
from ringfence.domain.monitoring import Close, Ended, Join
from ringfence.domain.sandbox import ListenerKind, SandboxEnd
from ringfence.sandbox.control_group import Reached
from ringfence.sandbox.plane_link import PlaneLink

EXIT_PLANE_LOST: Final = 3
"""As for every command whose plane is not reachable."""
EXIT_TIME: Final = 124
"""As timeout(1) has it."""
EXIT_ENDED: Final = 125
"""Ended by the plane or a person; as programs that run others use it for themselves (env(1))."""
_OF_SIGNAL: Final = 128

PASSED: Final = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGCONT")
    if hasattr(signal, name)
)
"""Signals that reach the command and not only us."""
_ENDING: Final = frozenset({"SIGTERM", "SIGHUP"})
"""Signals after which whoever sent them does not wait for long."""
_GRACE_S: Final = 2.0
"""How long a command may take to end after it was told to; less than the plane waits."""
_AGAIN_S: Final = 0.01
"""Until a signal is tried again that came before the command; a sandbox is built in some 30 ms."""
_LEAVE_S: Final = 10.0
"""How long the plane may take to put the end on record."""


class ProcessEnd(Protocol):
    """How a confined process has ended: with a code, or by a signal."""

    @property
    def exit_code(self) -> int | None:
        """None if it was ended by a signal."""

    @property
    def signal(self) -> int | None:
        """None if it ended by itself."""

    @property
    def user_s(self) -> float:
        """Processor time."""

    @property
    def system_s(self) -> float:
        """The kernel's on its behalf."""

    @property
    def most_memory_bytes(self) -> int:
        """The most that one of its processes held."""

    @property
    def reached(self) -> Reached:
        """Which of its bounds it ran into."""


class ConfinedProcess(Protocol):
    """A confined process that waits to go on; `sandbox.prepared` has one."""

    pid: int
    pidfd: int

    def go(self) -> None:
        """Let the command begin."""

    def signal(self, number: int, /) -> bool:
        """Pass a signal on; False if there is no command yet that could get it."""

    def kill(self) -> None:
        """End every process at once."""

    def wait(self) -> ProcessEnd:
        """Wait for the end of all of them."""


class Part(Protocol):
    """Something that goes on while the command runs: its commands asked about, its terminal."""

    def begin(self) -> None:
        """The command begins after this."""

    async def finish(self) -> None:
        """Every process is gone: say what is left to be said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What `run` exits with, and what it says if that is not the command's own doing.

    `note` is what to know of a command's end beside that: a bound that it ran into.
    """

    exit_code: int
    message: str = ""
    note: str = ""


Parts = Callable[[PlaneLink], Sequence[Part]]


@final
class Monitor:
    """Watches one sandbox. Made inside the running loop of the main thread."""

    def __init__(
        self,
        process: ConfinedProcess,
        listeners: Sequence[tuple[ListenerKind, socket.socket]],
        seconds: int | None,
    ) -> None:
        """The command waits until `run`. `seconds` is how long it may run.

        `listeners` are handed to the plane and closed here.
        """
        self._process = process
        self._listeners = listeners
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[ProcessEnd] = self._loop.create_future()
        self._why = SandboxEnd.EXITED
        self._message = ""
        self._timers: list[asyncio.TimerHandle] = []
        self._link = PlaneLink(self)
        self._is_told_to_end = False
        self._said = asyncio.Event()
        """Set when everything but the end itself has been said."""

    async def run(self, socket_address: str, join: Join, parts: Parts) -> Result:
        """Join the plane, let the command run, and return when all of it is over.

        Raises RingfenceError if it does not begin; then nothing of the command has run.
        """
        await self._join(socket_address, join)
        running = parts(self._link)
        self._follow()
        for number in PASSED:
            self._loop.add_signal_handler(number, self._pass_on, number)
        try:
            for part in running:
                part.begin()
            if self._seconds is not None:
                self._later(self._seconds, self._time_is_up)
            self._go()
            end = await self._over
            for part in running:
                await part.finish()
            return await self._leave(end)
        except BaseException:
            self._process.kill()
            raise
        finally:
            for number in PASSED:
                self._loop.remove_signal_handler(number)
            for timer in self._timers:
                timer.cancel()
            self._link.close()

    async def _join(self, socket_address: str, join: Join) -> None:
        process = self._process
        try:
            await self._link.join(socket_address, join, self._listeners)
        except BaseException:
            process.kill()
            process.wait()
            self._link.close()
            raise
        finally:
            for _, each in self._listeners:
                each.close()

    def _go(self) -> None:
        if self._link.is_closed:
            raise UnavailableError("plane_gone", "the plane ended before the command began")
        self._process.go()

    # `Watcher`

    async def end(self, close: Close) -> Ended:
        """The plane ends it."""
        self._stop(close.why, close.message)
        self._is_told_to_end = True
        await self._said.wait()
        return self._told(await self._over)

    def lost(self, why: str) -> None:
        """Without the plane there is nobody who decides or records: it ends at once."""
        if not self._over.done():
            self._why, self._message = SandboxEnd.PLANE_STOPPED, why
            self._process.kill()

    # Within

    def _follow(self) -> None:
        """Hear of the end: by a descriptor where the system has one for processes (Linux)."""
        if self._process.pidfd >= 0:
            self._loop.add_reader(self._process.pidfd, self._ended)
            return
        waiting = threading.Thread(target=self._wait, name="wait", daemon=True)
        waiting.start()

    def _wait(self) -> None:
        end = self._process.wait()
        self._loop.call_soon_threadsafe(self._end_with, end)

    def _ended(self) -> None:
        self._loop.remove_reader(self._process.pidfd)
        self._end_with(self._process.wait())

    def _end_with(self, end: ProcessEnd) -> None:
        if not self._over.done():
            self._over.set_result(end)

    def _pass_on(self, number: int) -> None:
        self._hand_over(number)
        if signal.Signals(number).name in _ENDING:
            self._later(_GRACE_S, self._process.kill)

    def _hand_over(self, number: int) -> None:
        """Signal the command, as soon as there is one: whoever asks for an end asks once."""
        if not self._over.done() and not self._process.signal(number):
            self._later(_AGAIN_S, partial(self._hand_over, number))

    def _time_is_up(self) -> None:
        self._stop(SandboxEnd.TIME, "its time is up: `seconds` of the agent's `limits`")

    def _stop(self, why: SandboxEnd, message: str) -> None:
        if not self._over.done() and self._why is SandboxEnd.EXITED:
            self._why, self._message = why, message
            self._process.signal(signal.SIGTERM)
            self._later(_GRACE_S, self._process.kill)

    def _later(self, seconds: float, do: Callable[[], None]) -> None:
        self._timers.append(self._loop.call_later(seconds, do))

    def _told(self, end: ProcessEnd) -> Ended:
        return Ended(
            exit_code=_code(end),
            signal=end.signal or 0,
            cpu_us=int((end.user_s + end.system_s) * 1e6),
            memory_bytes=end.most_memory_bytes,
            killed_for_memory=end.reached.killed_for_memory,
            processes_refused=end.reached.processes_refused,
            why=self._why,
        )

    async def _leave(self, end: ProcessEnd) -> Result:
        """Have the end put on record; a plane that is gone does it when it begins again."""
        self._said.set()
        if self._is_told_to_end:
            # The answer leaves in the turns that follow; then the plane closes the link.
            await self._link.wait_closed(_LEAVE_S)
        elif not self._link.is_closed:
            with contextlib.suppress(RingfenceError):
                await self._link.ask(self._told(end), _LEAVE_S)
        note = noted(end.reached)
        match self._why:
            case SandboxEnd.EXITED:
                return Result(exit_code=_code(end), note=note)
            case SandboxEnd.TIME:
                return Result(exit_code=EXIT_TIME, message=self._message, note=note)
            case SandboxEnd.PLANE_STOPPED:
                return Result(exit_code=EXIT_PLANE_LOST, message=self._message, note=note)
            case _:
                return Result(exit_code=EXIT_ENDED, message=self._message, note=note)


def noted(reached: Reached) -> str:
    """The bounds that a sandbox ran into, in words; empty if none."""
    said = []
    if reached.killed_for_memory:
        many = _times(reached.killed_for_memory, "process", "processes")
        said.append(f"it reached its memory limit, and the kernel ended {many} of it")
    if reached.processes_refused:
        many = _times(reached.processes_refused, "time", "times")
        said.append(f"it reached its limit of processes, and could start no more {many}")
    return "; ".join(said)


def _times(count: int, one: str, more: str) -> str:
    return f"{count} {one if count == 1 else more}"


def _code(end: ProcessEnd) -> int:
    """As shells have it: above 128 for a signal."""
    if end.signal:
        return _OF_SIGNAL + end.signal
    return end.exit_code or 0

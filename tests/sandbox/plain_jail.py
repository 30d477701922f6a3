"""A process that waits to go on and is confined by nothing: what monitors are tested with."""

import contextlib
import os
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from ringfence.domain.sandbox import ListenerKind
from ringfence.sandbox.control_group import NOTHING_REACHED, Reached


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainEnd:
    exit_code: int | None
    signal: int | None
    user_s: float = 0.25
    system_s: float = 0.5
    most_memory_bytes: int = 4096
    reached: Reached = NOTHING_REACHED


class PlainJail:
    """Runs a command when it is told to go; leads a process group of its own."""

    def __init__(self, *command: str, listeners: int = 0) -> None:
        self.listeners: Sequence[tuple[ListenerKind, socket.socket]] = [
            (ListenerKind.GATEWAY, socket.create_server(("127.0.0.1", 0))) for _ in range(listeners)
        ]
        self.not_yet = 0
        """How many signals are to find no command."""
        waiting, self._gate = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            os.close(self._gate)
            if os.read(waiting, 1):
                os.execvp(command[0], command)  # noqa: S606 (a shell is what is tested with)
            os._exit(97)
        os.close(waiting)
        self.pidfd = os.pidfd_open(self.pid)

    def go(self) -> None:
        os.write(self._gate, b"g")

    def signal(self, number: int, /) -> bool:
        if self.not_yet:
            self.not_yet -= 1
            return False
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)
        return True

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)  # it may not lead a group yet

    def wait(self) -> PlainEnd:
        _, status = os.waitpid(self.pid, 0)
        os.close(self._gate)
        if os.WIFSIGNALED(status):
            return PlainEnd(exit_code=None, signal=os.WTERMSIG(status))
        return PlainEnd(exit_code=os.WEXITSTATUS(status), signal=None)

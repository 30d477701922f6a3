"""Fork the process that will be confined, and hear from it how far it came.

Between fork and exec it is still this program: it keeps to system calls and imports nothing, and
never returns into what it was forked from.
"""

import contextlib
import ctypes
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, NoReturn

from ringfence.domain.error import UnavailableError
from ringfence.sandbox import limits
from ringfence.sandbox.control_group import SandboxGroup
from ringfence.sandbox.trouble import StepName
from ringfence.transport.kernel import namespace
from ringfence.transport.kernel.descriptor import receive_fds, send_fds
from ringfence.transport.kernel.memory import Memory

try:
    import fcntl
    import termios
except ImportError:  # Windows, where importing must not fail
    fcntl = termios = None  # type: ignore[assignment] # absent there, and nothing here is called

GO: Final = b"g"
"""What the child waits for."""
_ANSWER_S: Final = 30.0
"""Building takes 0.03 s; only a machine that hangs is given up."""
_MESSAGE_BYTES: Final = 4096
_FAILED: Final = 126
"""The shell's exit code for a command that cannot be started."""


@dataclass(slots=True)
class Progress:
    """How far the child is: which step it takes, and at which path."""

    step: StepName = StepName.SYSTEM
    taken: list[StepName] = field(default_factory=list)

    @contextmanager
    def at(self, step: StepName) -> Iterator[None]:
        """What fails within is this step's failure."""
        self.step = step
        yield
        self.taken.append(step)


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """The child waits, `taken` steps further; descriptors come in the child's order."""

    pid: int
    channel: socket.socket
    descriptors: Sequence[int]
    names: Sequence[str]
    taken: Sequence[StepName]
    terminal: int | None = None


@dataclass(frozen=True, slots=True)
class Confined:
    """What the child hands over when it is confined, and how it goes on: with an exec."""

    descriptors: Sequence[int]
    names: Sequence[str]
    go_on: Callable[[], NoReturn]
    kept: Sequence[int] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The child could not be confined: at which step, why, and after which others."""

    step: StepName
    code: int
    place: str
    taken: Sequence[StepName]


Stdio = tuple[int, int, int]


def launch(
    confine: Callable[[Progress], Confined],
    *,
    stdio: Stdio,
    is_interactive: bool,
    group: SandboxGroup | None = None,
) -> Launched | Failure:
    """Fork, confine, and wait until the child waits, in its control group.

    Where the group cannot take it, its own bound on processes is the first and not the second.
    Raises UnavailableError `sandbox_slow`, UsageError `no_control_group`.
    """
    parent = os.getpid()
    namespace.adopt_orphans(is_on=True)
    ours, theirs = socket.socketpair()
    terminals = os.openpty() if is_interactive else None
    pid = os.fork()
    if pid == 0:
        ours.close()
        if terminals:
            os.close(terminals[0])
            stdio = (terminals[1],) * 3
        _be_the_child(confine, theirs, stdio, parent, is_interactive=is_interactive)
    theirs.close()
    if terminals:
        os.close(terminals[1])
    try:
        was_counted = group is not None and group.is_counted
        if group is not None:  # while it confines itself: the kernel takes its time to move it
            group.take(pid)
        found = _hear(pid, ours, terminals[0] if terminals else None)
        if was_counted and group is not None and not group.is_counted:
            limits.count_alone(pid)  # it has bounded itself by now, as the second to the group
        if isinstance(found, Launched) and found.descriptors:
            found = _looked_at(found)
    except BaseException:
        _abandon(pid, ours, terminals)
        raise
    if isinstance(found, Failure):
        _abandon(pid, ours, terminals)
    return found


def _abandon(pid: int, channel: socket.socket, terminals: tuple[int, int] | None) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    channel.close()
    if terminals:
        os.close(terminals[0])


def _hear(pid: int, channel: socket.socket, terminal: int | None) -> Launched | Failure:
    channel.settimeout(_ANSWER_S)
    try:
        payload, descriptors = receive_fds(channel, _MESSAGE_BYTES)
    except TimeoutError as error:
        raise UnavailableError("sandbox_slow", "the sandbox was not built in time") from error
    channel.settimeout(None)
    said = json.loads(payload or b'{"step": "start", "code": 0, "taken": []}')
    taken = [StepName(each) for each in said["taken"]]
    if "step" in said:
        step = StepName(said["step"])
        return Failure(step=step, code=said["code"], place=said.get("place", ""), taken=taken)
    return Launched(
        pid=pid,
        channel=channel,
        descriptors=descriptors,
        names=said["names"],
        taken=taken,
        terminal=terminal,
    )


def _looked_at(launched: Launched) -> Launched | Failure:
    """Whether we may look at what it asks for: else none of its commands could be told of.

    It has our memory still, and by then the user and the namespaces that its commands will have.
    """
    known = ctypes.create_string_buffer(1)
    try:
        Memory(launched.pid).read(ctypes.addressof(known), 1)
    except OSError as error:
        for each in launched.descriptors:
            os.close(each)
        code = error.errno or 0
        return Failure(step=StepName.LOOKING, code=code, place="", taken=launched.taken)
    return launched


def _be_the_child(
    confine: Callable[[Progress], Confined],
    channel: socket.socket,
    stdio: Stdio,
    parent: int,
    *,
    is_interactive: bool,
) -> NoReturn:
    progress = Progress()
    try:
        _forget_the_parent(stdio, is_interactive=is_interactive)
        confined = confine(progress)
        namespace.die_with(parent)
        namespace.show_memory()
        said = {"names": list(confined.names), "taken": progress.taken}
        send_fds(channel, json.dumps(said).encode(), confined.descriptors)
        progress.step = StepName.START
        if channel.recv(1) == GO:
            confined.go_on()
    except Exception as error:  # noqa: BLE001 (told to the parent; into it nothing may pass on)
        with contextlib.suppress(OSError):
            channel.send(json.dumps(_told(error, progress)).encode())
    finally:
        os._exit(_FAILED)


def _told(error: Exception, progress: Progress) -> dict[str, object]:
    """A failure as the parent reads it; what is no error of the system's is named by its type."""
    known = error if isinstance(error, OSError) else OSError(0, "", type(error).__name__)
    return {
        "step": progress.step,
        "code": known.errno or 0,
        "place": str(known.filename or ""),
        "taken": progress.taken,
    }


def _forget_the_parent(stdio: Stdio, *, is_interactive: bool) -> None:
    """A session of its own, default signals, and the three streams that it was given."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.setsid()
    streams = [os.dup(each) for each in stdio]
    for place, each in enumerate(streams):
        os.dup2(each, place)
        os.close(each)
    if is_interactive:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

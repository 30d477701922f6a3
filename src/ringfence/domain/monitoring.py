"""What the monitor of a sandbox and the plane's worker say to each other; all of it plain data.

Texts that come from the sandbox may hold any bytes: they are told with backslash escapes.
"""

from typing import Final

import msgspec

from ringfence.domain.agent import SandboxTier
from ringfence.domain.sandbox import ListenerKind, SandboxEnd

HEARTBEAT_S: Final = 2.0
ANSWER_S: Final = 10.0
"""How long a command waits for the plane to answer, if no person was asked; then it is refused."""
SILENCE_S: Final = 30.0
"""After how long without a word either side takes the other for dead."""


class Join(msgspec.Struct, frozen=True, kw_only=True):
    """The first thing a monitor says, in one message with the descriptors of the listeners.

    `kinds` are those of the descriptors, in order; `plan` is the SHA-256 of how the sandbox is
    made, in hexadecimal, and `binds` what of the machine is in it, such as `ro /usr`. `bounds` say
    what bounds its processes, memory and processor time, `groups` are the folders of its control
    groups.
    """

    version: str
    ticket: str
    tier: SandboxTier
    pid: int
    plan: str
    binds: tuple[str, ...]
    kinds: tuple[ListenerKind, ...]
    neighbours: tuple[str, ...] = ()
    """The sandboxes that may change the same folders at the time."""
    bounds: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """Is the sandbox on record? Answered by `Joined`, or by the error that keeps it from it."""


class Joined(msgspec.Struct, frozen=True, kw_only=True, tag="joined"):
    """The start is durable and the listeners are served: the command may begin."""

    sandbox: str
    invocation: str


class ExecAsked(msgspec.Struct, frozen=True, kw_only=True, tag="exec_asked"):
    """A process is about to run a program. `id` tells it from the others of this sandbox.

    `path` is what it gave to the kernel, `exe` the file it runs now, `directory` where it stands.
    `is_command` marks the command that the sandbox was started for, which is its caller's choice.
    """

    id: int
    time_us: int
    pid: int
    parent: int
    path: str
    argv: tuple[str, ...]
    directory: str
    exe: str
    is_descriptor: bool = False
    """The program was named by an open descriptor and not by its path."""
    is_command: bool = False
    is_cut: bool = False
    """There were more, or longer, arguments than are told."""
    program: str = ""
    """The file itself, every link resolved, as the sandbox sees it; empty if nobody can tell."""
    interpreter: str = ""
    """What the first line of a script names, if the script is not one of the system's."""


class ExecAnswer(msgspec.Struct, frozen=True, kw_only=True, tag="exec_answer"):
    """Whether it may; if not, why, for whoever reads the terminal."""

    id: int
    is_allowed: bool
    message: str = ""


class ExecWaits(msgspec.Struct, frozen=True, kw_only=True, tag="exec_waits"):
    """A person was asked about it: it may take until `until_us` (UTC) before it is answered."""

    id: int
    approval: str
    message: str
    until_us: int


class ExecDiffers(msgspec.Struct, frozen=True, kw_only=True, tag="exec_differs"):
    """What a process runs is not what was asked for: its arguments or its file were exchanged."""

    pid: int
    exe: str
    argv: tuple[str, ...]
    time_us: int


class Kill(msgspec.Struct, frozen=True, kw_only=True, tag="kill"):
    """One process of the sandbox must end: it runs what it may not."""

    pid: int


class Exited(msgspec.Struct, frozen=True, kw_only=True, tag="exited"):
    """A process has ended. `exit_code` is below 0 for a signal, None if it is not known."""

    pid: int
    time_us: int
    exit_code: int | None = None


class PeerAnnounced(msgspec.Struct, frozen=True, tag="peer_announced"):
    """A connection from this port of loopback was made for the sandbox, and no other is its."""

    port: int


class CallRefused(msgspec.Struct, frozen=True, kw_only=True, tag="call_refused"):
    """Something that a process tried so often, and that came to nothing.

    `call` is the system call, or `tcp` and `udp` where something was sent to `to`, at which nothing
    of the plane's is. `error` is the errno's name; empty where the kernel answered by itself.
    """

    pid: int
    call: str
    to: str = ""
    error: str = ""
    times: int = 1


class Evidence(msgspec.Struct, frozen=True, kw_only=True, tag="evidence"):
    """Something seen that proves nothing by itself: the terminal, what a shell says of itself."""

    kind: str
    body: bytes
    time_us: int


class Changed(msgspec.Struct, frozen=True, kw_only=True, tag="changed"):
    """What became of the workspace, or of `folder`, as JSON (`sandbox.workspace.summary`)."""

    summary: bytes
    folder: str = ""


class LateCodeFound(msgspec.Struct, frozen=True, kw_only=True, tag="late_code_found"):
    """A file that would run later on the host is new or different (`sandbox.workspace.late_code`).

    `moved_to` is where it is now, empty if it could not be moved; then it may be removed. `more` is
    how many there were after it that are not told one by one.
    """

    path: str
    why: str
    moved_to: str
    is_restored: bool
    more: int = 0
    is_removed: bool = False


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag="ended"):
    """Every process of the sandbox is gone. `signal` is 0 if the command ended by itself."""

    exit_code: int
    signal: int = 0
    cpu_us: int = 0
    memory_bytes: int = 0
    """The most that any one of its processes held at once."""
    killed_for_memory: int = 0
    """How many of its processes the kernel ended because there was no memory left for them."""
    processes_refused: int = 0
    """How often it could start no more, as it had as many processes as it may."""
    why: SandboxEnd = SandboxEnd.EXITED


class Close(msgspec.Struct, frozen=True, kw_only=True, tag="close"):
    """The plane ends the sandbox; `message` is for the person at the terminal."""

    why: SandboxEnd
    message: str


class Heartbeat(msgspec.Struct, frozen=True, tag="heartbeat"):
    """Whoever says it is alive."""


class Noted(msgspec.Struct, frozen=True, tag="noted"):
    """It has been taken."""

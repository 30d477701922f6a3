"""One sandbox as the worker that owns it knows it."""

import socket
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Protocol, final

from ringfence.domain.agent import SandboxTier
from ringfence.domain.monitoring import Close, Ended, ExecWaits, Kill
from ringfence.domain.sandbox import ListenerKind, Sandbox, SandboxEnd, SandboxOrder
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.live import LiveInvocation
from ringfence.enforcement.runtime import AgentRuntime

ANNOUNCED_MOST = 256
"""How many connections of one sandbox may be on their way to be accepted."""
_STRANGE = object()

Listeners = Sequence[tuple[ListenerKind, socket.socket]]
"""What was made inside a sandbox and is served by the plane, each a listening or UDP socket."""


class Authority(Protocol):
    """The certificate authority of one sandbox; `transport.certificate` has one."""

    @property
    def pem(self) -> bytes:
        """Its certificate."""

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of that certificate in hexadecimal."""


class Holders(Protocol):
    """The placeholders that a sandbox holds in the place of secrets."""

    @property
    def variables(self) -> dict[str, str]:
        """The placeholders by the name of their variable."""


class Monitor(Protocol):
    """The way to the process beside a sandbox."""

    async def end(self, close: Close, /) -> Ended | None:
        """Have it end every process of the sandbox; None if it does not say that it has."""

    def tell(self, message: ExecWaits | Kill, /) -> None:
        """Say something that needs no answer; lost if it has gone."""


class SandboxDoor(Protocol):
    """A door that serves some of a sandbox's listeners."""

    async def serve(self, sandbox: "LiveSandbox", listeners: Listeners, /) -> None:
        """Accept on those that are this door's."""

    async def stop(self, sandbox: "LiveSandbox", /) -> None:
        """Accept no more and cut what is open; harmless if it does not serve it."""


@final
class LiveSandbox:
    """A sandbox from its grant to its end. `is_open` is true between its start and its end.

    `is_seen` tells that its monitor has looked at what it has left in its workspace.

    INVARIANT: what comes on its listeners is its invocation's and nobody else's.
    """

    __slots__ = (
        "announced",
        "authority",
        "caller",
        "end",
        "is_open",
        "is_seen",
        "listeners",
        "live",
        "monitor",
        "order",
        "passes",
        "placeholders",
        "sandbox",
    )

    def __init__(
        self, sandbox: Sandbox, order: SandboxOrder, caller: Caller, live: LiveInvocation
    ) -> None:
        """Granted, not started. `caller` is that of the invocation's token."""
        self.sandbox = sandbox
        self.order = order
        self.caller = caller
        self.live = live
        self.authority: Authority | None = None
        self.placeholders: Holders | None = None
        self.passes: tuple[str, ...] = ()
        self.monitor: Monitor | None = None
        self.listeners: Listeners = ()
        self.announced: dict[int, None] = {}
        self.is_open = False
        self.is_seen = False
        self.end: SandboxEnd | None = None

    @property
    def id(self) -> str:
        """The sandbox's id."""
        return self.sandbox.id

    def announce(self, port: int) -> None:
        """Its monitor has made a connection from this port of loopback for it."""
        self.announced[port] = None
        if len(self.announced) > ANNOUNCED_MOST:
            del self.announced[next(iter(self.announced))]

    def owns(self, port: int) -> bool:
        """Whether a connection that comes from this port now is the sandbox's; asked once for each.

        In the strict tier nobody else can reach its listeners; in the reduced tier they are on
        loopback, where others are, so only connections that its monitor announced count, each once:
        later the port may be another's.
        """
        if self.sandbox.tier is not SandboxTier.REDUCED:
            return True
        return self.announced.pop(port, _STRANGE) is not _STRANGE


def usable_servers(runtime: AgentRuntime, *, own: bool) -> tuple[str, ...]:
    """The tool servers of which an agent may use something, by name; or groups of its own tools."""
    patterns = runtime.agent.scope.tools
    servers = sorted(runtime.organisation.tools.items())
    return tuple(
        name
        for name, server in servers
        if server.is_run_by_agent is own and any(reaches(name, pattern) for pattern in patterns)
    )


def reaches(server: str, pattern: str) -> bool:
    """Whether a pattern of tool names may mean one of this server."""
    return fnmatchcase(f"{server}__", pattern.partition("__")[0] + "__")

"""The words of sandboxes: one confined process tree, and the listeners through which it speaks."""

from enum import StrEnum
from typing import Final

import msgspec

from ringfence.domain.agent import SandboxRules, SandboxTier

TIER_ORDER = (SandboxTier.NONE, SandboxTier.REDUCED, SandboxTier.STRICT)
"""From the least isolation to the most."""

SYSTEM: Final = ("/usr/", "/bin/", "/sbin/", "/lib/", "/lib64/", "/opt/")
"""Where systems keep programs (Filesystem Hierarchy Standard 3.0); no agent may write there."""


class ListenerKind(StrEnum):
    """What is spoken on a listener that was made inside a sandbox and is served by the plane."""

    PROXY = "proxy"
    """CONNECT and absolute form, for programs that obey the proxy variables."""
    HTTP = "http"
    """Port 80 of every address: programs that ignore proxies."""
    HTTPS = "https"
    """Port 443 of every address."""
    GATEWAY = "gateway"
    """The data plane, as on its own port, for this sandbox's invocation alone."""
    DNS_UDP = "dns_udp"
    DNS_TCP = "dns_tcp"


class SandboxEnd(StrEnum):
    """Why a sandbox is no more."""

    EXITED = "exited"
    """Its command came to its own end, or was ended by the signal that its caller sent."""
    TIME = "time"
    """It ran as long as it may."""
    MONITOR_LOST = "monitor_lost"
    PLANE_STOPPED = "plane_stopped"
    INVOCATION_ENDED = "invocation_ended"
    AGENT_NOT_ACTIVE = "agent_not_active"
    STOPPED = "stopped"
    """A person ended it."""
    NOT_STARTED = "not_started"
    """It was granted, and never began."""


class Bound(StrEnum):
    """By what the kernel bounds the processes or the memory of a sandbox."""

    CGROUP_V2 = "cgroup v2"
    CGROUP_V1 = "cgroup v1"
    RLIMIT = "rlimit"
    """Each process by itself, or all of one user together; for user 0 it does not count them."""
    NONE = "no bound"


class Sandbox(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one agent's process tree in isolation.

    `agent` is the agent's id; `policy` the digest of what was compiled for it; `ca_fingerprint` the
    SHA-256 of its certificate authority's certificate in hexadecimal, empty where nothing is
    intercepted. `monitor_pid` is the process that ties the sandbox's life to the plane's.
    """

    id: str
    organisation: str
    agent: str
    invocation: str
    tier: SandboxTier
    started_us: int
    monitor_pid: int
    workspace: str
    ca_fingerprint: str
    policy: str


class SandboxOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What a person asks for: one agent's command in isolation.

    `agent` is the agent's id, `actor` whoever asks; `workspace` and `directory` are absolute.
    """

    organisation: str
    agent: str
    tier: SandboxTier
    command: tuple[str, ...]
    workspace: str
    directory: str
    actor: str
    is_interactive: bool = False
    seconds: int | None = None


class Neighbour(msgspec.Struct, frozen=True, kw_only=True):
    """Another sandbox that may change the same folder, or one in it or around it.

    `agent` is the agent's name, `folder` the inner of the two.
    """

    sandbox: str
    agent: str
    folder: str
    started_us: int


class SandboxGrant(msgspec.Struct, frozen=True, kw_only=True):
    """What a monitor needs to make the sandbox and to join its worker.

    `ticket` is good once and for a short time, on the Unix socket `socket`. `token` is that of the
    invocation, good on the sandbox's own listener alone. `environment` holds placeholders of
    secrets by the name of their variable. `passes` are hosts that nobody looks into. INVARIANT
    (I5): no secret is in it but these two; see `__repr__`.
    """

    id: str
    ticket: str
    socket: str
    invocation: str
    token: str
    tier: SandboxTier
    environment: dict[str, str] = {}
    ca_pem: str = ""
    passes: tuple[str, ...] = ()
    models: dict[str, str] = {}
    """The protocols of the models that the agent may use, by the names to call these by."""
    servers: tuple[str, ...] = ()
    """The tool servers of which it may use something."""
    own_tools: tuple[str, ...] = ()
    """The groups of tools that are the agent's own, of which it may use something."""
    seconds: int | None = None
    """How long it may run."""
    rules: SandboxRules = SandboxRules()
    neighbours: tuple[Neighbour, ...] = ()
    """Who is at work in the same folders when it begins."""
    kept: tuple[str, ...] = ()
    """Files and folders of this machine that are the plane's own, for no agent to see."""

    def __repr__(self) -> str:
        """Without what is secret."""
        return f"SandboxGrant(id={self.id!r}, tier={self.tier!r})"


def at_least(tier: SandboxTier, minimum: SandboxTier) -> bool:
    """Whether `tier` isolates as much as `minimum` asks for."""
    return TIER_ORDER.index(tier) >= TIER_ORDER.index(minimum)


def is_sandbox(credential: str) -> bool:
    """Whether a credential is that of a sandbox, which bears the sandbox's id."""
    return credential.startswith("sbx_")

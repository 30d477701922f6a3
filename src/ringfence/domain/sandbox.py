"""The words of sandboxes: one confined process tree, and the listeners through which it speaks."""

from enum import StrEnum

import msgspec

from ringfence.domain.agent import SandboxTier

TIER_ORDER = (SandboxTier.NONE, SandboxTier.REDUCED, SandboxTier.STRICT)
"""From the least isolation to the most."""


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


def at_least(tier: SandboxTier, minimum: SandboxTier) -> bool:
    """Whether `tier` isolates as much as `minimum` asks for."""
    return TIER_ORDER.index(tier) >= TIER_ORDER.index(minimum)


def is_sandbox(credential: str) -> bool:
    """Whether a credential is that of a sandbox, which bears the sandbox's id."""
    return credential.startswith("sbx_")

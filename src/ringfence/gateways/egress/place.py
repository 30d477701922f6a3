"""What the egress gateway keeps of one sandbox, and of one connection of it."""

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from ringfence.decisions.destination import matches_any
from ringfence.decisions.handshake import HandshakeLimits, Handshakes
from ringfence.domain.destination import Authority as Named
from ringfence.domain.destination import Destination, Way
from ringfence.domain.egress import EgressRules
from ringfence.domain.observation import Seen
from ringfence.enforcement.authority import Authority
from ringfence.enforcement.held_call import HeldCalls
from ringfence.enforcement.http_call import HttpKnock, HttpPath
from ringfence.enforcement.http_ticket import HttpTicket
from ringfence.enforcement.observation import Observations, Sighting
from ringfence.enforcement.placeholder import Placeholders
from ringfence.enforcement.sandbox import LiveSandbox
from ringfence.transport.client import Pool
from ringfence.transport.clock import Clock
from ringfence.transport.service import Service
from ringfence.transport.tunnel import Tunnel


class Leaves(Protocol):
    """Makes certificates for the hosts of one sandbox (`transport.certificate`)."""

    def leaf(self, host: str) -> ssl.SSLContext:
        """The server side of TLS for a host."""

    def knows(self, host: str) -> bool:
        """Whether that is at hand, and need not be made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressLimits:
    """What one sandbox may take of the plane's memory and patience."""

    body_prefix_bytes: int = 64 * 1024
    """How much of a body is waited for before a request is decided on."""
    tunnel_idle_s: float = 600.0
    intent_s: float = 10.0
    connections: int = 512
    tunnels: int = 128
    """WebSockets, and connections that are not looked into."""
    handshakes: HandshakeLimits = field(default_factory=HandshakeLimits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What all sandboxes of one worker share."""

    path: HttpPath
    held: HeldCalls[HttpKnock, HttpTicket]
    observations: Observations
    authority: Authority
    clock: Clock
    limits: EgressLimits


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """How the requests of one connection came, and everything it says of where they go."""

    way: Way
    scheme: str
    tunnel: Named | None = None
    server_name: Named | None = None
    dialled: int | None = None
    promised: str | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class Place:
    """One sandbox while its listeners are served."""

    means: Means
    box: LiveSandbox
    pool: Pool
    service: Service
    leaves: Leaves | None
    placeholders: Placeholders | None
    watches: bool
    """Whether the sandbox holds any placeholder that could be misplaced."""
    promises: "Promises"
    handshakes: Handshakes
    tunnels: set[Tunnel] = field(default_factory=set)
    waiting: set[asyncio.Task[None]] = field(default_factory=set)
    offers: int = 0
    """WebSockets whose hosts have not answered yet."""
    is_closed: bool = False

    @property
    def rules(self) -> EgressRules:
        """What the organisation says of egress now."""
        return self.box.caller.runtime.organisation.egress

    def saw_connection(self, subject: str, way: Way, why: str = "") -> None:
        """Put a connection on the record; `why` it was refused, if it was."""
        detail = {"how": _HOW[way], "verdict": "deny" if why else "allow"}
        if why:
            detail["why"] = why
        sighting = Sighting(what=Seen.CONNECTION, subject=subject, detail=detail)
        self.means.observations.see(self.box.caller, self.box.sandbox, sighting)

    @property
    def is_full(self) -> bool:
        """Whether no more tunnels are begun: each takes two connections of the plane's."""
        begun = len(self.tunnels) + len(self.waiting) + self.offers
        return begun >= self.means.limits.tunnels

    def passes(self, to: Destination) -> bool:
        """Whether the TLS of a host passes through as it is."""
        return to.scheme == "https" and matches_any(self.rules.uninspected, to)


_HOW = {
    Way.CONNECT: "connect",
    Way.ABSOLUTE: "absolute",
    Way.PLAIN: "transparent",
    Way.TLS: "transparent",
    Way.DNS: "dns",
}


class Promises:
    """Which name each synthetic address was given for; the oldest is forgotten first."""

    FIRST = (198 << 24) + (18 << 16) + 1
    """198.18.0.0/15 is for benchmarks, and so nobody's (RFC 2544)."""
    MOST = 60_000

    def __init__(self) -> None:
        """None was given yet."""
        self._by_name: dict[str, bytes] = {}
        self._by_address: dict[str, str] = {}
        self._next = 0

    def address_of(self, name: str) -> bytes:
        """The address of a name, the same each time, as four bytes."""
        known = self._by_name.get(name)
        if known is None:
            known = (self.FIRST + self._next % self.MOST).to_bytes(4)
            self._next += 1
            text = ".".join(map(str, known))
            before = self._by_address.pop(text, None)
            if before is not None:
                del self._by_name[before]
            self._by_name[name] = known
            self._by_address[text] = name
        return known

    def name_of(self, address: str) -> str | None:
        """The name for which an address was given; None for any other."""
        return self._by_address.get(address)

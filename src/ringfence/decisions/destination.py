"""Where a request of a sandbox goes, and whether it may: one decision for every way out.

Everything that names a destination (the tunnel, the TLS hello, Host, the absolute form, the address
that was dialled) must name the same one; what is missing or ambiguous denies.
"""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import msgspec

from ringfence.decisions import reason
from ringfence.decisions.rights import Patterns
from ringfence.domain.agent import Agent
from ringfence.domain.destination import DEFAULT_PORTS, Authority, Destination, Way
from ringfence.domain.verdict import Reason


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that says where a request goes; None for what was not said.

    `tunnel` is what CONNECT named, `server_name` the TLS hello, `host` the Host header or the name
    in the absolute form; where both are there, `target` is that of the absolute form. `dialled` is
    the port that the client dialled, and `promised` the name for which it was given the address
    that it dialled, for what was caught on its way.
    """

    way: Way
    scheme: str
    tunnel: Authority | None = None
    server_name: Authority | None = None
    target: Authority | None = None
    host: Authority | None = None
    dialled: int | None = None
    promised: str | None = None


def decide(agent: Agent, evidence: Evidence) -> Destination | Reason:
    """The one destination that everything names, or why there is none."""
    port = DEFAULT_PORTS[evidence.scheme]
    first = _first(evidence)
    if first is None:
        return reason.destination_uncertain(agent, _MISSING[evidence.way])
    if evidence.way in {Way.PLAIN, Way.TLS} and evidence.dialled is not None:
        port = evidence.dialled
    elif first.port is not None:
        port = first.port
    doubt = _doubt(evidence, first, port)
    if doubt:
        return reason.destination_uncertain(agent, doubt)
    return Destination(
        scheme=evidence.scheme, host=first.host, port=port, is_address=first.is_address
    )


def _first(evidence: Evidence) -> Authority | None:
    """What says first where it goes."""
    match evidence.way:
        case Way.CONNECT:
            return evidence.tunnel
        case Way.ABSOLUTE:
            return evidence.target
        case Way.TLS:
            return evidence.server_name
        case Way.PLAIN | Way.DNS:
            return evidence.host


_MISSING: Final = {
    Way.CONNECT: "the tunnel names no host",
    Way.ABSOLUTE: "its target names no host",
    Way.PLAIN: "it has no Host",
    Way.TLS: "its TLS hello names no server",
    Way.DNS: "it names no host",
}


def _doubt(evidence: Evidence, first: Authority, port: int) -> str:
    """What contradicts the destination; empty if nothing does."""
    named = evidence.server_name
    if named is not None and named.host != first.host:
        return "its TLS hello names another server than its tunnel"
    host = evidence.host
    if host is not None:
        if host.host != first.host:
            return "its Host is another than the one of its connection or its target"
        if (host.port or DEFAULT_PORTS[evidence.scheme]) != port:
            return "its Host has another port than its connection or its target"
    if evidence.promised is not None and evidence.promised != first.host:
        return "the address that it dialled was given for another name"
    return ""


def in_scope(
    agent: Agent, destination: Destination, bounds: Iterable[Patterns | None] = ()
) -> Reason | None:
    """Why an agent may not go there, from what it declares alone; None if it may.

    `bounds` are the patterns of everybody else who has a say; None takes nothing away.
    """
    every = (agent.scope.hosts, *bounds)
    if all(bound is None or matches_any(bound, destination) for bound in every):
        return None
    return reason.host_unknown(agent, destination.resource, agent.scope.hosts)


def name_in_scope(agent: Agent, name: Authority, bounds: Iterable[Patterns | None] = ()) -> bool:
    """Whether any port of a host is in scope: what a question for its address depends on."""
    every = (agent.scope.hosts, *bounds)
    return not name.is_address and all(
        bound is None or any(_fits(split_pattern(pattern)[0], name.host) for pattern in bound)
        for bound in every
    )


def matches_any(patterns: Patterns, destination: Destination) -> bool:
    """Whether a pattern names a destination; one without a port means the usual one."""
    return any(_matches(pattern, destination) for pattern in patterns)


def _matches(pattern: str, destination: Destination) -> bool:
    host, port = split_pattern(pattern)
    if port is None:
        usual = DEFAULT_PORTS.get(destination.scheme)
        if destination.port != usual:
            return False
    elif port != destination.port:
        return False
    if destination.is_address:
        return host == destination.host
    return _fits(host, destination.host)


def _fits(pattern: str, host: str) -> bool:
    """A name, or `*.` and a domain of which it is a name below; `*` alone is no pattern."""
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and len(host) > len(pattern) - 1
    return pattern == host


def host_pattern(pattern: str) -> str:
    """The host of a pattern alone, which policies know it by."""
    return split_pattern(pattern)[0]


@lru_cache(maxsize=10_000)
def split_pattern(pattern: str) -> tuple[str, int | None]:
    """The host of a pattern in its canonical form, and its port if it names one."""
    text = pattern.lower()
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return str(ipaddress.IPv6Address(host)), int(rest[1:]) if rest else None
    host, colon, port = text.partition(":")
    return host, int(port) if colon else None

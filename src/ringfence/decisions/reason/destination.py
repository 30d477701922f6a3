"""Reasons of where a request goes: not in scope, not certain, or leading inside."""

from collections.abc import Iterable
from math import ceil

from ringfence.decisions.reason.request import out_of_scope
from ringfence.decisions.reason.words import QUOTED_CHARACTERS, quoted, refusal
from ringfence.domain.agent import Agent
from ringfence.domain.verdict import Code, Reason


def host_unknown(agent: Agent, resource: str, patterns: Iterable[str]) -> Reason:
    """The agent does not declare the host, or not this port of it."""
    return out_of_scope(agent, "host", resource, patterns)


def destination_uncertain(agent: Agent, what: str) -> Reason:
    """What the connection and the request say does not name one destination; `what` is a clause."""
    return refusal(
        Code.DESTINATION_REFUSED,
        agent,
        f"it is not certain where this request goes: {what}.",
        (("cause", what),),
    )


def address_refused(agent: Agent, host: str, address: str, what: str) -> Reason:
    """The address of a host lies where agents may not go; `what` says where that is."""
    return refusal(
        Code.DESTINATION_REFUSED,
        agent,
        f"the address {quoted(address)} of {quoted(host)} {what}, where agents do not go unless "
        "it is configured (`egress.networks`).",
        (("host", host[:QUOTED_CHARACTERS]), ("address", address[:QUOTED_CHARACTERS])),
    )


def not_forwarded(agent: Agent, what: str) -> Reason:
    """A kind of request that is never passed on; `what` is a clause."""
    return refusal(Code.DESTINATION_REFUSED, agent, f"{what}.", (("cause", what),))


def too_many_tunnels(agent: Agent) -> Reason:
    """A sandbox has as many connections open that are no plain requests as it may have."""
    return refusal(
        Code.LIMIT_REACHED,
        agent,
        "this sandbox has too many WebSockets and uninspected connections open; end some of them.",
    )


def too_many_handshakes(agent: Agent) -> Reason:
    """A sandbox begins TLS connections faster than it may."""
    return refusal(
        Code.RATE_EXCEEDED,
        agent,
        "this sandbox begins too many TLS connections at once; use those that are open, and wait.",
    )


def secret_misplaced(agent: Agent, name: str, resource: str) -> Reason:
    """A request carries the placeholder of a secret to a host that the secret is not for."""
    return refusal(
        Code.DESTINATION_REFUSED,
        agent,
        f"this request carries the placeholder of secret {quoted(name)} to {quoted(resource)}, "
        "which that secret is not for. It has been reported.",
        (("secret", name[:QUOTED_CHARACTERS]), ("host", resource[:QUOTED_CHARACTERS])),
    )


def host_away(resource: str, cause: str, failures: int, wait_s: float) -> Reason:
    """A host has failed again and again and is left alone for a while."""
    return Reason(
        code=Code.CIRCUIT_OPEN,
        message=f"Ringfence did not send this request: {quoted(resource)} has failed {failures} "
        f"times in a row ({cause}), and is left alone. Try again in {ceil(wait_s)} seconds.",
        facts=(("host", resource[:QUOTED_CHARACTERS]), ("cause", cause)),
    )


def host_refuses(agent: Agent, resource: str, failures: int) -> Reason:
    """A host refuses the secret that is added to requests; no retry mends that."""
    return refusal(
        Code.PROVIDER_CREDENTIAL,
        agent,
        f"{quoted(resource)} has refused the credential that Ringfence adds {failures} times in a "
        "row. A person has to mend it.",
        (("host", resource[:QUOTED_CHARACTERS]),),
    )


def host_failed(resource: str, code: str, cause: str) -> Reason:
    """A host could not be reached, or its answer could not be read; `cause` is a clause."""
    known = Code(code) if code in _UPSTREAM_CODES else Code.PROVIDER_UNAVAILABLE
    return Reason(
        code=known,
        message=f"Ringfence could not get an answer from {quoted(resource)}: {cause}.",
        facts=(("host", resource[:QUOTED_CHARACTERS]), ("cause", code)),
    )


def bytes_used_up(agent: Agent, allowed: int) -> Reason:
    """A request and its answer have passed what one of them may move."""
    return refusal(
        Code.LIMIT_REACHED,
        agent,
        f"this request and its answer are larger than the {allowed} bytes that are left for them.",
        (("limit", "http_call_bytes"), ("allowed", str(allowed))),
    )


def too_long_to_judge(agent: Agent, resource: str) -> Reason:
    """A person must approve a request whose body is longer than what is held."""
    return refusal(
        Code.REQUEST_TOO_LARGE,
        agent,
        f"a person must approve this request to {quoted(resource)}, and nobody can judge a body of "
        "that length.",
        (("host", resource[:QUOTED_CHARACTERS]),),
    )


_UPSTREAM_CODES = frozenset(
    {
        Code.PROVIDER_UNAVAILABLE.value,
        Code.PROVIDER_TIMEOUT.value,
        Code.PROVIDER_MALFORMED.value,
        Code.DESTINATION_REFUSED.value,
    }
)

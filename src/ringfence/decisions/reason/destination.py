"""Reasons of where a request goes: not in scope, not certain, or leading inside."""

from collections.abc import Iterable

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


def secret_misplaced(agent: Agent, name: str, resource: str) -> Reason:
    """A request carries the placeholder of a secret to a host that the secret is not for."""
    return refusal(
        Code.DESTINATION_REFUSED,
        agent,
        f"this request carries the placeholder of secret {quoted(name)} to {quoted(resource)}, "
        "which that secret is not for. It has been reported.",
        (("secret", name[:QUOTED_CHARACTERS]), ("host", resource[:QUOTED_CHARACTERS])),
    )

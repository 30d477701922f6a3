"""A model with a fallback at another provider, and how either provider answers."""

from dataclasses import replace

from tests.gateways.world import (
    NANO,
    Answering,
    Sent,
    Upstream,
    agent,
    always,
    model,
    organisation,
    whole,
)

from ringfence.domain.agent import Scope
from ringfence.domain.organisation import Organisation
from ringfence.domain.price import RateCard, Rates

BUSY = {"error": {"message": "overloaded", "type": "server_error"}}


def two_legs(**more: object) -> Organisation:
    """`small` at `house`, then `other` at `spare`, which costs three times as much."""
    dear = RateCard(rates=Rates(input=3 * NANO, output=30 * NANO))
    plain = organisation()
    scope = Scope(models=frozenset({"small", "other"}))
    return replace(
        plain,
        models={
            **plain.models,
            "small": model("small", fallback=("other",)),
            "other": model("other", "spare", price=dear),
        },
        agents={"triage": agent(**{"scope": scope} | more)},
    )


def by_host(**answers: Answering) -> Answering:
    """Each provider answers in its own way."""

    async def answer(sent: Sent) -> Upstream:
        return await answers[sent.origin.host.partition(".")[0]](sent)

    return answer


def refusing(status: int) -> Answering:
    """A provider that answers with this status."""
    return always(lambda: whole(BUSY, status))

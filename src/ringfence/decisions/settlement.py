"""What a call is charged when it is over: the real price where it is known, never too little."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec
from msgspec import structs

from ringfence.decisions.price import cost
from ringfence.domain.money import ZERO, Money
from ringfence.domain.price import RateCard
from ringfence.domain.usage import Usage

_NOTHING_STATED = Usage(input_tokens=0, output_tokens=0, estimated=True)
_OUTPUT_TOKENS_MAX = 2**20
_USES_MAX = 1_000
"""What is believed though it is beyond the bounds: no call has more, and a provider that passes
its bounds by less must be paid all the same."""


class Billing(StrEnum):
    """What is known of the work a provider has done."""

    NONE = "none"
    """Nothing was done: never sent, or refused by the provider with an error status."""
    ANSWERED = "answered"
    """A whole answer came."""
    UNCERTAIN = "uncertain"
    """Something may have been done: a cut, a timeout, an answer that could not be read."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What the reservation allowed for; `output_tokens` is over all answers of the call.

    `input_believed` is the most input tokens that a count may state; more is impossible.
    `hosted_uses` are those of the provider's own tools.
    """

    reserved: Money
    input_tokens: int
    output_tokens: int
    input_believed: int
    hosted_uses: Mapping[str, int] = {}


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """The amount, and the usage it was computed from; None if it is the reservation itself.

    `is_disbelieved`: the provider stated counts that no call can have.
    """

    amount: Money
    usage: Usage | None
    is_disbelieved: bool = False


_NOT_DONE = frozenset({500, 502, 503, 529})
"""Statuses by which a provider says that it failed and did no work."""
_TIMED_OUT = frozenset({504, 524})
"""Statuses by which a provider's front gave up waiting (524 is Cloudflare's): what stands behind it
may have done the work and charge for it."""


def may_try_next(status: int) -> bool:
    """Whether another provider may be asked after this status: only if this one did no work."""
    return status in _NOT_DONE


def billing_of_refusal(status: int) -> Billing:
    """What is known of the work behind an error status."""
    return Billing.UNCERTAIN if status in _TIMED_OUT else Billing.NONE


def charge(
    billing: Billing, card: RateCard, usage: Usage | None, bounds: Bounds, answer_bytes: int
) -> Charge:
    """Charge the stated usage; else estimate from above; else keep the whole reservation.

    Usage that was stated in part is estimated too: what it does not state is never taken for zero.

    An estimate never exceeds the bounds: a token is at least one byte of the answer. Counts that no
    call can have tell nothing, so one lie can neither close a budget nor make a call cheap.
    """
    if billing is Billing.NONE:
        return Charge(amount=ZERO, usage=None)
    if usage is not None and not _is_possible(usage, bounds):
        return Charge(amount=bounds.reserved, usage=None, is_disbelieved=True)
    if billing is Billing.UNCERTAIN:
        known = cost(card, usage) if usage is not None else ZERO
        return Charge(amount=Money(max(known, bounds.reserved)), usage=usage)
    if usage is None or usage.estimated:
        usage = _from_above(usage or _NOTHING_STATED, bounds, answer_bytes)
    return Charge(amount=cost(card, usage), usage=usage)


def _from_above(stated: Usage, bounds: Bounds, answer_bytes: int) -> Usage:
    """What was stated in part, raised to the most that the call can have used."""
    return structs.replace(
        stated,
        input_tokens=max(stated.input_tokens, bounds.input_tokens),
        output_tokens=max(stated.output_tokens, min(bounds.output_tokens, answer_bytes)),
        hosted_uses=stated.hosted_uses or dict(bounds.hosted_uses),
    )


def _is_possible(usage: Usage, bounds: Bounds) -> bool:
    cached = (usage.cache_read_tokens, usage.cache_write_tokens, usage.cache_write_1h_tokens)
    generated = (usage.output_tokens, usage.reasoning_tokens)
    uses = usage.hosted_uses.values()
    return (
        min(usage.input_tokens, *cached, *generated) >= 0
        and max(usage.input_tokens, sum(cached)) <= bounds.input_believed
        and max(generated) <= max(_OUTPUT_TOKENS_MAX, bounds.output_tokens)
        and all(0 <= count <= _USES_MAX for count in uses)
    )

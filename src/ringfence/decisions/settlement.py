"""What a call is charged when it is over: the real price where it is known, never too little."""

from enum import StrEnum

import msgspec

from ringfence.decisions.price import cost
from ringfence.domain.money import ZERO, Money
from ringfence.domain.price import RateCard
from ringfence.domain.usage import Usage

_TOKENS_MAX = 2**40
"""Far above any call, and exact in every reader's numbers."""


class Billing(StrEnum):
    """What is known of the work a provider has done."""

    NONE = "none"
    """Nothing was done: never sent, or refused by the provider with an error status."""
    ANSWERED = "answered"
    """A whole answer came."""
    UNCERTAIN = "uncertain"
    """Something may have been done: a cut, a timeout, an answer that could not be read."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What the reservation allowed for; `output_tokens` is over all answers of the call."""

    reserved: Money
    input_tokens: int
    output_tokens: int


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """The amount, and the usage it was computed from; None if it is the reservation itself."""

    amount: Money
    usage: Usage | None


def charge(
    billing: Billing, card: RateCard, usage: Usage | None, bounds: Bounds, answer_bytes: int
) -> Charge:
    """Charge the stated usage; else estimate from above; else keep the whole reservation.

    An estimate never exceeds the bounds: a token is at least one byte of the answer. Counts that no
    call can have tell nothing.
    """
    if billing is Billing.NONE:
        return Charge(amount=ZERO, usage=None)
    if usage is not None and not _is_possible(usage):
        billing, usage = Billing.UNCERTAIN, None
    if billing is Billing.UNCERTAIN:
        known = cost(card, usage) if usage is not None else ZERO
        return Charge(amount=Money(max(known, bounds.reserved)), usage=usage)
    if usage is None:
        usage = Usage(
            input_tokens=bounds.input_tokens,
            output_tokens=min(bounds.output_tokens, answer_bytes),
            estimated=True,
        )
    return Charge(amount=cost(card, usage), usage=usage)


def _is_possible(usage: Usage) -> bool:
    counts = (
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
        usage.cache_write_1h_tokens,
        usage.reasoning_tokens,
    )
    if min(counts) < 0 or max(counts) > _TOKENS_MAX:
        return False
    return all(0 <= uses <= _TOKENS_MAX for uses in usage.hosted_uses.values())

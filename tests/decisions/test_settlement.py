import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from ringfence.decisions.price import cost
from ringfence.decisions.settlement import (
    Billing,
    Bounds,
    billing_of_refusal,
    charge,
    may_try_next,
)
from ringfence.domain.money import Money
from ringfence.domain.price import RateCard, Rates
from ringfence.domain.usage import Usage

CARD = RateCard(rates=Rates(input=1_000_000, output=10_000_000))
"""One nano-dollar an input token, ten an output token."""
BOUNDS = Bounds(reserved=Money(2_000), input_tokens=1_000, output_tokens=100, input_believed=8_000)
USED = Usage(input_tokens=30, output_tokens=7)


def test_what_was_not_done_costs_nothing() -> None:
    for usage in (None, USED):
        settled = charge(Billing.NONE, CARD, usage, BOUNDS, 500)
        assert (settled.amount, settled.usage) == (0, None)


def test_stated_usage_is_charged() -> None:
    settled = charge(Billing.ANSWERED, CARD, USED, BOUNDS, 500)
    assert (settled.amount, settled.usage) == (100, USED)


def test_a_stated_zero_is_zero() -> None:
    zero = Usage(input_tokens=0, output_tokens=0)
    settled = charge(Billing.ANSWERED, CARD, zero, BOUNDS, 500)
    assert (settled.amount, settled.usage) == (0, zero)


@pytest.mark.parametrize(("answer_bytes", "output"), [(0, 0), (40, 40), (5_000, 100)])
def test_missing_usage_is_estimated_from_above_and_marked(answer_bytes: int, output: int) -> None:
    settled = charge(Billing.ANSWERED, CARD, None, BOUNDS, answer_bytes)
    assert settled.usage == Usage(input_tokens=1_000, output_tokens=output, estimated=True)
    assert settled.amount == 1_000 + 10 * output <= BOUNDS.reserved


def test_usage_stated_in_part_is_never_taken_for_all() -> None:
    partly = Usage(input_tokens=30, output_tokens=1, cache_read_tokens=20, estimated=True)
    settled = charge(Billing.ANSWERED, CARD, partly, BOUNDS, 40)
    assert settled.usage == Usage(
        input_tokens=1_000, output_tokens=40, cache_read_tokens=20, estimated=True
    )
    assert settled.amount == 1_000 + 10 * 40
    more = Usage(input_tokens=3_000, output_tokens=200, estimated=True)
    assert charge(Billing.ANSWERED, CARD, more, BOUNDS, 5_000).usage == more


def test_an_estimate_pays_for_the_hosted_tools_that_were_reserved() -> None:
    bounds = structs.replace(BOUNDS, hosted_uses={"web_search": 3})
    card = RateCard(rates=CARD.rates, hosted=(("web_search", 50),))
    assert charge(Billing.ANSWERED, card, None, bounds, 0).amount == 1_000 + 3 * 50
    stated = structs.replace(USED, hosted_uses={"web_search": 1})
    assert charge(Billing.ANSWERED, card, stated, bounds, 0).amount == 100 + 50
    assert charge(Billing.ANSWERED, card, USED, bounds, 0).amount == 100


def test_what_is_uncertain_keeps_the_reservation() -> None:
    assert charge(Billing.UNCERTAIN, CARD, None, BOUNDS, 0).amount == 2_000
    assert charge(Billing.UNCERTAIN, CARD, USED, BOUNDS, 0).amount == 2_000
    more = Usage(input_tokens=3_000, output_tokens=0)
    assert charge(Billing.UNCERTAIN, CARD, more, BOUNDS, 0).amount == 3_000


@pytest.mark.parametrize(
    "usage",
    [
        Usage(input_tokens=-1, output_tokens=7),
        Usage(input_tokens=1, output_tokens=-7),
        Usage(input_tokens=1, output_tokens=7, reasoning_tokens=-1),
        Usage(input_tokens=1, output_tokens=7, hosted_uses={"web_search": -5}),
        Usage(input_tokens=10**30, output_tokens=7),
        Usage(input_tokens=8_001, output_tokens=7),
        Usage(input_tokens=1, output_tokens=7, cache_read_tokens=4_001, cache_write_tokens=4_000),
        Usage(input_tokens=1, output_tokens=10**7),
        Usage(input_tokens=1, output_tokens=7, reasoning_tokens=10**7),
        Usage(input_tokens=1, output_tokens=7, hosted_uses={"web_search": 10**7}),
    ],
)
def test_counts_that_no_call_can_have_tell_nothing(usage: Usage) -> None:
    for billing in (Billing.ANSWERED, Billing.UNCERTAIN):
        settled = charge(billing, CARD, usage, BOUNDS, 0)
        assert (settled.amount, settled.usage) == (2_000, None)
        assert settled.is_disbelieved


def test_what_a_provider_counts_beyond_the_bounds_is_charged() -> None:
    more = Usage(input_tokens=8_000, output_tokens=500)
    settled = charge(Billing.ANSWERED, CARD, more, BOUNDS, 0)
    assert (settled.amount, settled.usage) == (13_000, more)
    assert not settled.is_disbelieved


@given(
    st.sampled_from(Billing),
    st.none()
    | st.builds(
        Usage,
        input_tokens=st.integers(-10, 2_000),
        output_tokens=st.integers(-10, 2_000),
        cache_read_tokens=st.integers(-10, 2_000),
    ),
    st.integers(0, 10**6),
)
def test_a_charge_is_never_negative_and_never_below_what_is_known(
    billing: Billing, usage: Usage | None, answer_bytes: int
) -> None:
    settled = charge(billing, CARD, usage, BOUNDS, answer_bytes)
    assert settled.amount >= 0
    if settled.usage is not None:
        assert settled.amount >= cost(CARD, settled.usage)


@pytest.mark.parametrize("status", [500, 502, 503, 529])
def test_a_provider_that_did_no_work_lets_the_next_one_try(status: int) -> None:
    assert may_try_next(status)
    assert billing_of_refusal(status) is Billing.NONE


@pytest.mark.parametrize("status", [504, 524])
def test_a_front_that_gave_up_waiting_may_have_been_charged_for(status: int) -> None:
    assert not may_try_next(status)
    assert billing_of_refusal(status) is Billing.UNCERTAIN


@pytest.mark.parametrize("status", [400, 404, 413, 429])
def test_a_refused_request_costs_nothing_and_is_not_tried_elsewhere(status: int) -> None:
    assert not may_try_next(status)
    assert billing_of_refusal(status) is Billing.NONE

"""Prices are exact, and no call costs more than its worst case."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.decisions.price import (
    UNBOUNDED_TOKENS,
    affordable_output_tokens,
    cost,
    dearest,
    dearest_uses,
    unpriced_hosted_tools,
    worst_case,
)
from ringfence.domain.money import Money
from ringfence.domain.price import Band, RateCard, Rates
from ringfence.domain.usage import Usage

USD = 1_000_000_000
FULL = Rates(
    input=3 * USD,
    output=15 * USD,
    cache_read=3 * USD // 10,
    cache_write=375 * USD // 100,
    cache_write_1h=6 * USD,
    reasoning=20 * USD,
)
LONG = Rates(input=6 * USD, output=22 * USD)
CARD = RateCard(
    rates=FULL,
    bands=(Band(above_input_tokens=200_000, rates=LONG),),
    request=1_000,
    hosted=(("web_search", 10_000_000),),
)
PLAIN = RateCard(rates=Rates(input=USD // 10, output=4 * USD // 10))

rate = st.integers(0, 100 * USD)
maybe_rate = st.none() | rate
all_rates = st.builds(
    Rates,
    input=rate,
    output=rate,
    cache_read=maybe_rate,
    cache_write=maybe_rate,
    cache_write_1h=maybe_rate,
    reasoning=maybe_rate,
)
tool_fees = st.dictionaries(st.sampled_from(["search", "fetch"]), st.integers(0, USD))


@st.composite
def cards(draw: st.DrawFn) -> RateCard:
    thresholds = sorted(draw(st.sets(st.integers(0, 3_000), max_size=3)))
    return RateCard(
        rates=draw(all_rates),
        bands=tuple(Band(above_input_tokens=t, rates=draw(all_rates)) for t in thresholds),
        request=draw(st.integers(0, 10_000)),
        hosted=tuple(draw(tool_fees).items()),
    )


@st.composite
def usages(draw: st.DrawFn, input_tokens: int, output_tokens: int) -> Usage:
    """Any usage within the bounds, also one whose parts exceed their stated whole."""
    written = draw(st.integers(0, input_tokens))
    return Usage(
        input_tokens=draw(st.integers(0, input_tokens)),
        output_tokens=draw(st.integers(0, output_tokens)),
        cache_read_tokens=draw(st.integers(0, input_tokens - written)),
        cache_write_tokens=written,
        cache_write_1h_tokens=draw(st.integers(0, written)),
        reasoning_tokens=draw(st.integers(0, output_tokens)),
    )


@pytest.mark.parametrize(
    ("usage", "nano_usd"),
    [
        (Usage(input_tokens=0, output_tokens=0), 1_000),
        (Usage(input_tokens=1_000, output_tokens=0), 3_001_000),
        (Usage(input_tokens=0, output_tokens=1_000), 15_001_000),
        (Usage(input_tokens=1_000, output_tokens=0, cache_read_tokens=1_000), 301_000),
        (Usage(input_tokens=1_000, output_tokens=0, cache_write_tokens=1_000), 3_751_000),
        (
            Usage(
                input_tokens=1_000,
                output_tokens=0,
                cache_write_tokens=1_000,
                cache_write_1h_tokens=400,
            ),
            4_651_000,
        ),
        (Usage(input_tokens=0, output_tokens=1_000, reasoning_tokens=600), 18_001_000),
        (Usage(input_tokens=0, output_tokens=0, hosted_uses={"web_search": 3}), 30_001_000),
    ],
)
def test_each_component_has_its_own_rate(usage: Usage, nano_usd: int) -> None:
    assert cost(CARD, usage) == nano_usd


def test_a_component_without_a_rate_is_priced_like_its_parent() -> None:
    usage = Usage(
        input_tokens=300,
        output_tokens=100,
        cache_read_tokens=100,
        cache_write_tokens=100,
        cache_write_1h_tokens=50,
        reasoning_tokens=50,
    )
    assert cost(PLAIN, usage) == cost(PLAIN, Usage(input_tokens=300, output_tokens=100))


def test_a_one_hour_write_without_a_rate_is_priced_like_a_write_and_not_like_input() -> None:
    card = RateCard(rates=Rates(input=USD, output=0, cache_write=2 * USD))
    written = Usage(
        input_tokens=10, output_tokens=0, cache_write_tokens=10, cache_write_1h_tokens=10
    )
    assert cost(card, written) == 20_000


def test_a_band_holds_for_the_whole_call_above_its_threshold_only() -> None:
    assert cost(CARD, Usage(input_tokens=200_000, output_tokens=0)) == 600_000_000 + 1_000
    assert cost(CARD, Usage(input_tokens=200_001, output_tokens=0)) == 1_200_006_000 + 1_000


def test_a_price_is_rounded_up_once_and_not_per_component() -> None:
    card = RateCard(rates=Rates(input=1, output=1))
    assert cost(card, Usage(input_tokens=1, output_tokens=1)) == 1
    assert cost(card, Usage(input_tokens=999_999, output_tokens=2)) == 2
    assert cost(card, Usage(input_tokens=0, output_tokens=0)) == 0


def test_parts_that_exceed_their_whole_are_charged() -> None:
    assert cost(CARD, Usage(input_tokens=0, output_tokens=0, reasoning_tokens=1_000)) == 20_001_000
    assert cost(CARD, Usage(input_tokens=0, output_tokens=0, cache_read_tokens=1_000)) == 301_000
    assert (
        cost(CARD, Usage(input_tokens=0, output_tokens=0, cache_write_1h_tokens=1_000)) == 6_001_000
    )


def test_a_hosted_tool_without_a_fee_is_charged_like_the_dearest() -> None:
    usage = Usage(input_tokens=0, output_tokens=0, hosted_uses={"unheard_of": 2})
    assert cost(CARD, usage) == 20_001_000
    assert unpriced_hosted_tools(CARD, ["web_search", "unheard_of"]) == ("unheard_of",)


def test_uses_of_several_hosted_tools_are_bounded_at_the_dearest() -> None:
    card = replace(CARD, hosted=(("fetch", 0), ("search", 10_000_000)))
    assert dearest_uses(card, ["fetch", "search"], 3) == {"search": 3}
    assert dearest_uses(card, ["fetch"], 3) == {"fetch": 3}
    assert dearest_uses(card, [], 3) == {}


def test_the_worst_case_takes_the_dearest_rate_of_every_reachable_band() -> None:
    assert worst_case(CARD, 1_000, 100) == 1_000 * 6_000 + 100 * 20_000 + 1_000
    assert worst_case(CARD, 200_000, 100) == 200_000 * 6_000 + 100 * 20_000 + 1_000
    assert worst_case(CARD, 200_001, 100) == 200_001 * 6_000 + 100 * 22_000 + 1_000


def test_a_cheaper_long_context_band_does_not_lower_the_worst_case() -> None:
    card = RateCard(
        rates=Rates(input=2 * USD, output=2 * USD),
        bands=(Band(above_input_tokens=10, rates=Rates(input=USD, output=USD)),),
    )
    assert worst_case(card, 100, 0) == 200_000


def test_more_answers_multiply_the_output_and_not_the_input() -> None:
    one, five = worst_case(PLAIN, 1_000, 1_000, 1), worst_case(PLAIN, 1_000, 1_000, 5)
    assert five - one == 4 * 1_000 * 400


@given(st.data(), cards(), st.integers(0, 4_000), st.integers(0, 2_000), st.integers(1, 8))
def test_no_usage_within_the_bounds_costs_more_than_the_worst_case(
    data: st.DataObject, card: RateCard, input_tokens: int, output_tokens: int, answers: int
) -> None:
    usage = data.draw(usages(input_tokens, output_tokens * answers))
    assert cost(card, usage) <= worst_case(card, input_tokens, output_tokens, answers)


@given(cards(), st.dictionaries(st.sampled_from(["search", "odd"]), st.integers(0, 5)))
def test_hosted_uses_within_the_bound_cost_no_more_than_the_worst_case(
    card: RateCard, uses: dict[str, int]
) -> None:
    usage = Usage(input_tokens=10, output_tokens=10, hosted_uses=uses)
    assert cost(card, usage) <= worst_case(card, 10, 10, 1, uses)


@settings(max_examples=300)
@given(cards(), st.integers(0, 10 * USD), st.integers(0, 4_000), st.integers(1, 8))
def test_what_is_affordable_is_exactly_the_largest_limit_that_fits(
    card: RateCard, left: int, input_tokens: int, answers: int
) -> None:
    tokens = affordable_output_tokens(card, Money(left), input_tokens, answers)
    if tokens >= 0:
        assert worst_case(card, input_tokens, tokens, answers) <= left
    if tokens < UNBOUNDED_TOKENS:
        assert worst_case(card, input_tokens, tokens + 1, answers) > left


def test_nothing_is_affordable_when_the_input_alone_does_not_fit() -> None:
    whole = worst_case(PLAIN, 1_000, 0)
    assert affordable_output_tokens(PLAIN, whole, 1_000) == 0
    assert affordable_output_tokens(PLAIN, Money(whole - 1), 1_000) == -1


def test_output_that_costs_nothing_is_affordable_without_bound() -> None:
    free = RateCard(rates=Rates(input=0, output=0))
    assert affordable_output_tokens(free, Money(0), 1_000) == UNBOUNDED_TOKENS
    assert affordable_output_tokens(free, Money(-1), 1_000) == -1


def test_the_dearest_of_one_card_is_that_card() -> None:
    assert dearest([CARD]) is CARD


@given(
    st.data(), st.lists(cards(), min_size=2, max_size=3), st.integers(0, 4_000), st.integers(0, 100)
)
def test_the_dearest_card_of_a_route_covers_every_model_on_it(
    data: st.DataObject, route: list[RateCard], input_tokens: int, output_tokens: int
) -> None:
    envelope = dearest(route)
    usage = data.draw(usages(input_tokens, output_tokens))
    for card in route:
        assert cost(card, usage) <= worst_case(envelope, input_tokens, output_tokens)
        assert worst_case(card, input_tokens, output_tokens) <= worst_case(
            envelope, input_tokens, output_tokens
        )

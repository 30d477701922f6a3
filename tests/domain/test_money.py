"""Money is exact, and people can read it."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.money import Money, format_usd, from_usd, to_usd


@pytest.mark.parametrize(
    ("typed", "nano_usd"),
    [
        ("5", 5_000_000_000),
        ("0.20", 200_000_000),
        ("0.000000001", 1),
        ("0.0000000001", 1),
        ("0.0000000011", 2),
        ("1e-9", 1),
        ("0", 0),
    ],
)
def test_dollars_become_whole_nano_dollars_rounded_up(typed: str, nano_usd: int) -> None:
    assert from_usd(Decimal(typed)) == nano_usd


@given(st.integers(-(10**18), 10**18))
def test_no_amount_is_changed_by_writing_it_in_dollars(amount: int) -> None:
    assert from_usd(to_usd(Money(amount))) == amount


@pytest.mark.parametrize(
    ("nano_usd", "shown"),
    [
        (0, "$0.00"),
        (1, "$0.000000001"),
        (2_100_000, "$0.0021"),
        (5_000_000_000, "$5.00"),
        (1_234_567_890_000_000, "$1,234,567.89"),
        (-500_000_000, "-$0.50"),
        (1_250_000, "$0.00125"),
    ],
)
def test_money_is_shown_with_cents_and_without_exponent(nano_usd: int, shown: str) -> None:
    assert format_usd(Money(nano_usd)) == shown


@given(st.integers(0, 10**18))
def test_the_shown_text_loses_nothing(amount: int) -> None:
    assert from_usd(Decimal(format_usd(Money(amount)).replace("$", "").replace(",", ""))) == amount

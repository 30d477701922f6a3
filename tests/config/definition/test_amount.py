from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.config.definition import amount
from ringfence.config.problem import Problems
from ringfence.config.reading import Reading
from ringfence.config.section import Section
from ringfence.config.tree import parse


def read(text: str) -> tuple[int | None, list[str]]:
    reading = Reading({}, Problems(), Problems(), set())
    node = parse(f"usd: {text}\n", "f.yaml", reading.problems)
    assert node is not None
    value = amount.read(Section(node, "here", reading), "usd")
    return value, [problem.what for problem in reading.problems.found()]


@given(st.integers(min_value=0, max_value=10**18))
def test_every_nano_dollar_is_read_exactly(nano: int) -> None:
    assert read(f"{Decimal(nano) / 10**9:.9f}") == (nano, [])


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("-0.1", "`usd` in here is negative"),
        ("0.0000000001", "`usd` in here is finer than a nano-dollar"),
        ("1000000001", "`usd` in here is too large"),
        ("1,5", "`usd` in here must be a number, not `1,5`"),
        (".5", "`usd` in here must be a number, not `.5`"),
        (".inf", "`usd` in here must be a number, not `.inf`"),
        ("0x10", "`usd` in here must be a number, not `0x10`"),
        ("1_000", "`usd` in here must be a number, not `1_000`"),
        ("٣", "`usd` in here must be a number, not `٣`"),
    ],
)
def test_what_is_no_exact_amount_is_refused(text: str, what: str) -> None:
    assert read(text) == (None, [what])

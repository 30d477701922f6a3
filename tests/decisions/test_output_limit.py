"""Output limits: the client's, the agent's cap, a default, or what is affordable."""

from dataclasses import replace

import pytest

from ringfence.decisions.output_limit import (
    LoweredBy,
    OutputLimit,
    output_limit,
    within_budget,
)
from ringfence.domain.agent import CATEGORY_DEFAULTS, Agent, Category, Limits
from ringfence.domain.model import Dialect
from ringfence.domain.verdict import LowerOutputLimit

AGENT = Agent(name="a", owner="o", team=None, category=Category.BOUNDED, purpose="")
CAPPED = replace(AGENT, limits=Limits(output_tokens=100))


def limit(tokens: int, by: LoweredBy = LoweredBy.NONE) -> OutputLimit:
    return OutputLimit(tokens=tokens, lowered_by=by)


def test_the_limit_of_the_client_stands_where_nothing_is_against_it() -> None:
    chosen = output_limit(Dialect.CHAT, 500, AGENT)
    assert chosen == limit(500)
    assert chosen.obligations == ()


def test_the_cap_of_the_agent_holds_however_much_is_asked() -> None:
    chosen = output_limit(Dialect.CHAT, 500, CAPPED)
    assert chosen == limit(100, LoweredBy.CAP)
    assert chosen.obligations == (LowerOutputLimit(tokens=100),)


def test_a_limit_at_the_cap_is_left_as_it_is() -> None:
    assert output_limit(Dialect.CHAT, 100, CAPPED) == limit(100)


@pytest.mark.parametrize("category", Category)
def test_without_a_limit_the_default_of_the_category_is_written(category: Category) -> None:
    limits = CATEGORY_DEFAULTS[category]
    chosen = output_limit(Dialect.MESSAGES, None, replace(AGENT, limits=limits))
    assert chosen == limit(limits.default_output_tokens, LoweredBy.DEFAULT)
    assert chosen.obligations


def test_a_default_does_not_pass_the_cap() -> None:
    assert output_limit(Dialect.GEMINI, None, CAPPED) == limit(100, LoweredBy.CAP)


@pytest.mark.parametrize("dialect", [Dialect.EMBEDDINGS, Dialect.COUNT_TOKENS])
def test_a_call_without_output_gets_no_limit(dialect: Dialect) -> None:
    assert output_limit(dialect, None, CAPPED) == limit(0)


def test_what_is_affordable_leaves_the_limit_alone() -> None:
    assert within_budget(limit(100), 100) == limit(100)


def test_an_unaffordable_limit_is_lowered_to_what_is() -> None:
    assert within_budget(limit(100), 99) == limit(99, LoweredBy.BUDGET)
    assert within_budget(limit(100), 16) == limit(16, LoweredBy.BUDGET)


def test_a_limit_is_not_lowered_to_a_useless_answer() -> None:
    assert within_budget(limit(100), 15) is None
    assert within_budget(limit(100), 50, useful_tokens=51) is None


def test_a_small_answer_that_was_asked_for_is_useful() -> None:
    assert within_budget(limit(5), 5) == limit(5)
    assert within_budget(limit(5), 4) is None


def test_a_call_without_output_passes_only_if_its_input_fits() -> None:
    assert within_budget(limit(0), 0) == limit(0)
    assert within_budget(limit(0), -1) is None

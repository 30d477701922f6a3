"""Reasons of money."""

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest

from ringfence.decisions import reason
from ringfence.decisions.period import Line
from ringfence.decisions.reservation import Shortfall
from ringfence.domain.agent import Agent, Category
from ringfence.domain.budget import AccountKey, BudgetScope, Per, Window
from ringfence.domain.money import ZERO, Money
from ringfence.domain.verdict import Code, Reason

AGENT = Agent(
    name="triage",
    owner="owner@acme.example",
    team=None,
    category=Category.BOUNDED,
    purpose="",
)
RESET_US = 1_795_302_000_000_000  # 2026-11-22T00:00+01:00  # 2026-11-22T00:00+01:00
BERLIN = ZoneInfo("Europe/Berlin")


def shortfall(
    scope: BudgetScope = BudgetScope.AGENT,
    per: Per = Per.DAY,
    spent: int = 4_997_900_000,
    end_us: int | None = RESET_US,
) -> Shortfall:
    return Shortfall(
        line=Line(
            AccountKey("org_1", scope, "id", per),
            Window(0, end_us),
            Money(5_000_000_000),
            Money(spent),
            ZERO,
            ZERO,
        ),
        needed=Money(40_000_000),
    )


def test_a_budget_stop_says_which_budget_how_much_when_and_whom_to_ask() -> None:
    found = reason.budget(AGENT, shortfall(), "", BERLIN)
    assert found == Reason(
        code=Code.BUDGET_EXHAUSTED,
        message=(
            "Ringfence stopped this call: agent `triage` has $0.0021 left of its $5.00 daily "
            "budget and this call could cost up to $0.04. The budget starts again at "
            "2026-11-22T00:00+01:00. Do not retry; ask owner@acme.example."
        ),
        facts=(
            ("budget", "agent per day"),
            ("limit_usd", "5"),
            ("left_usd", "0.0021"),
            ("needed_usd", "0.04"),
            ("resets_at", "2026-11-22T00:00+01:00"),
            ("ask", "owner@acme.example"),
        ),
    )


@pytest.mark.parametrize(
    ("scope", "per", "words"),
    [
        (BudgetScope.INVOCATION, Per.INVOCATION, "this invocation has $0.0021 left of its $5.00 b"),
        (BudgetScope.TREE, Per.TREE, "this invocation with its sub-agents has"),
        (BudgetScope.USER, Per.HOUR, "user `name` has $0.0021 left of its $5.00 hourly budget"),
        (BudgetScope.TEAM, Per.MONTH, "team `name` has $0.0021 left of its $5.00 monthly budget"),
        (
            BudgetScope.ORGANISATION,
            Per.TOTAL,
            "organisation `name` has $0.0021 left of its $5.00 t",
        ),
        (BudgetScope.AGENT, Per.WEEK, "agent `triage` has $0.0021 left of its $5.00 weekly budget"),
    ],
)
def test_every_scope_and_window_has_its_words(scope: BudgetScope, per: Per, words: str) -> None:
    assert words in reason.budget(AGENT, shortfall(scope, per), "name", UTC).message


def test_a_budget_that_never_starts_again_names_no_time() -> None:
    found = reason.budget(AGENT, shortfall(end_us=None), "", UTC)
    assert "starts again" not in found.message
    assert ("resets_at", "never") in found.facts


def test_an_overdrawn_budget_is_said_to_be_over() -> None:
    found = reason.budget(AGENT, shortfall(spent=5_500_000_000), "", UTC)
    assert "agent `triage` is $0.50 over its $5.00 daily budget" in found.message
    assert ("left_usd", "-0.5") in found.facts

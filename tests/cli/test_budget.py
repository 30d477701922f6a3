from decimal import Decimal

import pytest
from tests.cli.installation import Installation

from ringfence.cli.budget import BudgetLine, CountLine, budget_table, count_table
from ringfence.cli.terminal.style import Style


def test_budgets_are_shown_from_the_widest_scope_down(plane: Installation) -> None:
    lines = plane.call("budget", "show").out.splitlines()
    assert lines[0].split()[:3] == ["BUDGET", "PER", "LIMIT"]
    assert lines[1].startswith("organisation")
    assert [line for line in lines if line.startswith("agent triage")]


def test_the_budgets_of_one_holder_can_be_asked_for(plane: Installation) -> None:
    (line,) = plane.call("budget", "show", "triage", "--json").json()
    assert (line["scope"], line["per"], line["limit_nano"]) == ("agent", "day", "1000000000")
    assert plane.call("budget", "show", "nobody").code == 2


def test_what_is_counted_is_shown_when_asked_for(plane: Installation) -> None:
    shown = plane.call("budget", "show", "--counts")
    assert shown.code == 0
    assert "model calls" in shown.out or "nothing is counted now" in shown.err
    lines = count_table(
        [
            CountLine(
                scope="tree",
                holder="inv_1",
                holder_name="",
                unit="tool_calls",
                tool="crm__get",
                used="2",
                reserved="1",
                limit="20",
                left="17",
            )
        ],
        Style(),
    )
    assert lines[1].split() == ["tree", "inv_1", "tool", "calls", "crm__get", "20", "2", "1", "17"]


def test_money_is_granted_with_a_reason(plane: Installation) -> None:
    before = _left(plane)
    result = plane.call(
        "budget", "grant", "team:support", "2.50", "--per", "day", "--reason", "a busy day"
    )
    assert result.code == 0
    assert "granted $2.50 to team:support" in result.err
    assert _left(plane) - before == Decimal("2.50")
    assert "a busy day" in plane.call("audit", "query", "--code", "budget.granted").out


@pytest.mark.parametrize(
    ("holder", "usd"),
    [
        ("support", "1"),
        ("team", "1"),
        ("organisation:acme", "1"),
        ("team:support", "-1"),
        ("team:support", "much"),
        ("team:nobody", "1"),
    ],
)
def test_a_grant_that_makes_no_sense_is_wrong_use(
    plane: Installation, holder: str, usd: str
) -> None:
    result = plane.call("budget", "grant", "--per", "day", "--reason", "x", "--", holder, usd)
    assert result.code == 2
    assert result.err.startswith("ringfence: ")


def test_a_closed_budget_says_so() -> None:
    line = BudgetLine(
        scope="agent",
        holder="agt_1",
        holder_name="triage",
        per="day",
        limit_nano="1000",
        spent_nano="1500",
        reserved_nano="0",
        left_nano="-500",
        is_closed=True,
    )
    (_, text) = budget_table([line], Style())
    assert "-$0.0000005" in text
    assert "closed" in text


def _left(plane: Installation) -> Decimal:
    (line,) = plane.call("budget", "show", "support", "--json").json()
    return Decimal(line["limit_nano"]) / 10**9

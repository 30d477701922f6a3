"""Reasons say what happened, what to do and whom to ask, and never more than that."""

from dataclasses import replace
from datetime import UTC
from zoneinfo import ZoneInfo

import pytest

from ringfence.decisions import reason
from ringfence.decisions.budget import Line, Shortfall
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
RESET_US = 1_795_302_000_000_000  # 2026-11-22T00:00+01:00
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


def test_the_escalation_contact_is_asked_before_the_owner() -> None:
    agent = replace(AGENT, escalate_to="oncall@acme.example")
    assert reason.suspended(agent).message.endswith("ask oncall@acme.example.")
    assert reason.suspended(AGENT).message.endswith("ask owner@acme.example.")


REASONS = {
    Code.AGENT_SUSPENDED: reason.suspended(AGENT),
    Code.AGENT_RETIRED: reason.retired(AGENT),
    Code.INVOCATION_CLOSED: reason.invocation_closed(AGENT, "inv_1"),
    Code.INVOCATION_STOPPED: reason.invocation_stopped(AGENT, "inv_1", "it passed its deadline"),
    Code.INVOCATION_UNKNOWN: reason.invocation_unknown(AGENT, "inv_1"),
    Code.INVOCATION_REQUIRED: reason.invocation_required(AGENT),
    Code.HOSTED_TOOL: reason.hosted_tool(AGENT, "web_search"),
    Code.FIELD_REFUSED: reason.priced_field(AGENT, "service_tier"),
    Code.INPUT_UNBOUNDED: reason.outside_input(AGENT, "file_id"),
    Code.PROVIDER_OBJECT: reason.provider_object(AGENT, "resp_1"),
    Code.PRICE_UNKNOWN: reason.price_unknown(AGENT, "gpt"),
    Code.OUT_OF_SCOPE: reason.out_of_scope(AGENT, "model", "gpt", ["b", "a"]),
    Code.LIMIT_REACHED: reason.limit(AGENT, "model_calls", 3, "make 3 model calls"),
    Code.BUDGET_EXHAUSTED: reason.output_passed(AGENT, 5),
}


@pytest.mark.parametrize("code", REASONS)
def test_a_refusal_is_one_paragraph_that_says_not_to_retry_and_whom_to_ask(code: Code) -> None:
    found = REASONS[code]
    assert found.code is code
    assert found.message.startswith("Ringfence ")
    assert found.message.endswith("Do not retry; ask owner@acme.example.")
    assert "\n" not in found.message
    assert ".." not in found.message
    assert found.facts[-1] == ("ask", "owner@acme.example")


def test_media_without_a_bound_name_the_setting() -> None:
    found = reason.unbounded_media(AGENT, "images", "image_tokens")
    assert found.code is Code.INPUT_UNBOUNDED
    assert "`image_tokens` is not set" in found.message


def test_a_rate_says_how_long_to_wait_and_not_to_give_up() -> None:
    found = reason.rate(AGENT, "user `u` may make 60 calls per minute", 12.3456)
    assert "Wait 13 seconds" in found.message
    assert "Do not retry" not in found.message
    assert ("retry_after_s", "12.346") in found.facts


def test_what_is_out_of_scope_is_told_what_may_be_used() -> None:
    assert "It may use: a, b." in REASONS[Code.OUT_OF_SCOPE].message
    assert "may use" not in reason.out_of_scope(AGENT, "model", "gpt").message


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("gpt-5", "`gpt-5`"),
        ("a`b", "`a?b`"),
        ("a\nb\u202ec\x00", "`a?b?c?`"),
        ("x" * 100, "`" + "x" * 80 + "…`"),
    ],
)
def test_foreign_text_is_shown_on_one_printable_short_line(text: str, shown: str) -> None:
    assert reason.quoted(text) == shown

"""Reasons say what happened, what to do and whom to ask, and never more than that."""

from dataclasses import replace

import pytest

from ringfence.decisions import reason
from ringfence.domain.agent import Agent, Category
from ringfence.domain.verdict import Code

AGENT = Agent(
    name="triage",
    owner="owner@acme.example",
    team=None,
    category=Category.BOUNDED,
    purpose="",
)


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

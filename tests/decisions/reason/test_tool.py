"""Reasons of tools."""

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


def test_wrong_arguments_are_the_models_to_mend() -> None:
    found = reason.arguments_invalid("refund", iter(["`a` is missing", "`b` is no number"]))
    assert found.code is Code.ARGUMENTS_INVALID
    assert "`a` is missing; `b` is no number. Call it again" in found.message
    assert ("problems", "2") in found.facts


def test_a_tool_that_is_left_alone_may_be_tried_later_and_one_that_refuses_may_not() -> None:
    away = reason.tool_away("refund", "timeout", 5, 12.3)
    assert "try again in 13 seconds" in away.message
    refuses = reason.tool_refuses(AGENT, "refund", 5)
    assert "no retry can succeed" in refuses.message
    assert {away.code, refuses.code} == {Code.TOOL_UNAVAILABLE}


def test_no_tools_at_all_says_whether_somebody_has_to_accept_them() -> None:
    held = reason.no_tools_resolved(AGENT, ["crm"], 3)
    assert "3 are held until somebody accepts them" in held.message
    none = reason.no_tools_resolved(AGENT, ["crm"], 0)
    assert "none that is listed matches its scope" in none.message

"""Reasons of runs that get nowhere."""

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


def test_a_hint_names_the_tools_and_the_circle_they_go_in() -> None:
    assert "the same tool calls (`a`) have now given the same results 3 times" in reason.loop_hint(
        1, 3, ["a"]
    )
    assert "the same 2 rounds of tool calls (`a`, `b`)" in reason.loop_hint(2, 3, ["a", "b"])
    assert "brought nothing new" in reason.loop_hint(0, 3, ["a"])


def test_a_stop_says_which_kind_of_circle_it_was() -> None:
    ordered = reason.loop_stopped(AGENT, 2, 5, iter(["a", "b"]))
    assert ordered.code is Code.LOOP_DETECTED
    assert dict(ordered.facts)["loop"] == "same_calls"
    assert dict(ordered.facts)["tools"] == "a, b"
    assert dict(reason.loop_stopped(AGENT, 0, 5, ["a"]).facts)["loop"] == "no_progress"


def test_what_is_retried_too_soon_may_wait() -> None:
    found = reason.retried_too_soon(AGENT, 4, 2.5)
    assert found.code is Code.RATE_EXCEEDED
    assert "has just failed 4 times. Wait 3 seconds" in found.message

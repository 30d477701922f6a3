"""Reasons of measure."""

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


def test_a_rate_says_how_long_to_wait_and_not_to_give_up() -> None:
    found = reason.rate(AGENT, "user `u` may make 60 calls per minute", 12.3456)
    assert "Wait 13 seconds" in found.message
    assert "Do not retry" not in found.message
    assert ("retry_after_s", "12.346") in found.facts


def test_what_passes_by_itself_may_be_tried_again() -> None:
    found = reason.too_many_at_once(AGENT, 1_000)
    assert found.code is Code.RATE_EXCEEDED
    assert "1,000 calls on their way" in found.message
    assert found.message.endswith("Try again when others have ended.")

"""Reasons of what is asked for."""

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


def test_media_without_a_bound_name_the_setting() -> None:
    found = reason.unbounded_media(AGENT, "images", "image_tokens")
    assert found.code is Code.INPUT_UNBOUNDED
    assert "`image_tokens` is not set" in found.message


def test_what_is_out_of_scope_is_told_what_may_be_used() -> None:
    assert "It may use: a, b." in reason.out_of_scope(AGENT, "model", "gpt", ["b", "a"]).message
    assert "may use" not in reason.out_of_scope(AGENT, "model", "gpt").message

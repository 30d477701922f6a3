"""Reasons of who calls."""

from dataclasses import replace

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


def test_a_task_of_another_domain_names_its_topic_and_what_the_agent_is_for() -> None:
    found = reason.off_topic(replace(AGENT, purpose="Sort tickets."), "taxes")
    assert found.code is Code.OFF_TOPIC
    assert "this is about `taxes`, which is not for agent `triage`." in found.message
    assert "It is there to: Sort tickets." in found.message
    assert ("topic", "taxes") in found.facts


def test_a_task_that_no_topic_fits_names_none() -> None:
    found = reason.off_topic(AGENT, "")
    assert "this task is not for agent `triage`." in found.message
    assert [name for name, _ in found.facts] == ["ask"]


def test_a_proof_that_is_refused_says_why() -> None:
    found = reason.proof_refused(AGENT, "it has expired")
    assert found.code is Code.PROOF_REFUSED
    assert "acts for was refused: it has expired." in found.message


def test_a_task_that_nobody_judged_names_the_model_and_no_person() -> None:
    found = reason.topic_unjudged(AGENT, "small")
    assert found.code is Code.OFF_TOPIC
    assert "model `small` gave no usable answer" in found.message
    assert "person" not in found.message

"""Reasons of providers and stores."""

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


def test_a_provider_that_is_left_alone_may_be_tried_later() -> None:
    found = reason.circuit_open("provider `house`", "timeout", 5, 2.1)
    assert found.code is Code.CIRCUIT_OPEN
    assert "Try again in 3 seconds" in found.message
    assert ("retry_after_s", "2.100") in found.facts


def test_a_credential_that_is_shown_is_never_part_of_the_reason() -> None:
    found = reason.secret_shown("house")
    assert found.code is Code.PROVIDER_MALFORMED
    assert found.facts == (("provider", "house"),)


def test_a_record_that_is_late_costs_nothing() -> None:
    found = reason.intent_late(5.0)
    assert found.code is Code.STORE_UNAVAILABLE
    assert "within 5 seconds, so this call was not made. Nothing was charged." in found.message

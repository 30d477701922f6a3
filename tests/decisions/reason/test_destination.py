"""Reasons of where a request goes."""

from ringfence.decisions import reason
from ringfence.domain.agent import Agent, Category
from ringfence.domain.verdict import Code

AGENT = Agent(
    name="triage", owner="owner@acme.example", team=None, category=Category.BOUNDED, purpose=""
)


def test_a_host_that_is_not_declared_is_refused_with_those_that_are() -> None:
    found = reason.host_unknown(AGENT, "evil.example:443", ["api.example"])
    assert found.code is Code.OUT_OF_SCOPE
    assert "no host `evil.example:443`" in found.message
    assert "It may use: api.example." in found.message


def test_every_other_one_says_what_is_wrong_and_whom_to_ask() -> None:
    found = (
        reason.destination_uncertain(AGENT, "it has no Host"),
        reason.address_refused(AGENT, "api.example", "10.0.0.1", "is on a private network"),
        reason.not_forwarded(AGENT, "TRACE is never passed on"),
        reason.secret_misplaced(AGENT, "crm", "evil.example:443"),
    )
    for each in found:
        assert each.code is Code.DESTINATION_REFUSED
        assert "ask owner@acme.example" in each.message
    assert "10.0.0.1" in found[1].message
    assert ("secret", "crm") in found[3].facts

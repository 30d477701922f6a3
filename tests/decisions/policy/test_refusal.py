import pytest
from tests.decisions.policy.asking import organisation, question

from ringfence.decisions.policy.refusal import refusal_of
from ringfence.domain.policy import PolicyDecision, PolicyVerdict
from ringfence.domain.verdict import Code

_DENY, _ASK = PolicyVerdict.DENY, PolicyVerdict.ASK


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        (
            PolicyDecision(verdict=_DENY, policies=("night",), reasons=("nobody is there",)),
            "policy `night` forbids agent `triage` to call tool `crm__refund` (nobody is there)",
        ),
        (PolicyDecision(verdict=_DENY), "no policy permits agent `triage` to call tool"),
        (
            PolicyDecision(verdict=_DENY, problem="`amount` must be a number"),
            "because `amount` must be a number. Correct that and try again",
        ),
        (
            PolicyDecision(verdict=_ASK, policies=("a",), reasons=("large",)),
            "a person must approve before it allows agent `triage`",
        ),
    ],
)
def test_a_refusal_says_what_decided_and_whom_to_ask(decision: PolicyDecision, said: str) -> None:
    found = refusal_of(organisation().agents["triage"], question(), decision)
    assert said in found.message
    assert "owner@acme.example" in found.message
    assert found.code is Code.POLICY_DENIED
    assert dict(found.facts)["ask"] == "owner@acme.example"


def test_foreign_text_stays_on_one_short_line() -> None:
    asked = question("crm__a`\n" + "b" * 500)
    decision = PolicyDecision(verdict=_DENY, problem="x\n" * 5000)
    found = refusal_of(organisation().agents["triage"], asked, decision)
    assert "\n" not in found.message
    assert len(found.message) < 1000

import json
from dataclasses import replace

import pytest
from tests.decisions.policy.asking import organisation, question

from ringfence.decisions.policy.policy_set import PolicySet
from ringfence.domain.agent import Autonomy
from ringfence.domain.organisation import Configuration
from ringfence.domain.policy import PolicyDecision, PolicyVerdict, Question, ToolFacts
from ringfence.enforcement.policy import Policies


def _configuration(autonomy: Autonomy = Autonomy.ACT_IN_SCOPE) -> Configuration:
    return Configuration(
        organisations={"acme": replace(organisation(autonomy), id="org_1")}, digest="sha256:0"
    )


def _asked(resource: str = "crm__refund") -> Question:
    return question(resource, organisation="org_1")


def test_before_the_first_epoch_everything_is_denied() -> None:
    policies = Policies()
    assert policies.decide(_asked()).verdict is PolicyVerdict.DENY
    assert not policies.may_list(_asked())
    assert policies.of("org_1") is None


def test_an_epoch_brings_what_it_declares_and_the_next_replaces_it() -> None:
    policies = Policies()
    policies.install(_configuration())
    assert policies.decide(_asked()).verdict is PolicyVerdict.ALLOW
    assert policies.may_list(_asked())
    policies.install(_configuration(Autonomy.ASK_ALWAYS))
    assert policies.decide(_asked()).verdict is PolicyVerdict.ASK
    policies.install(Configuration(organisations={}, digest="sha256:1"))
    assert policies.decide(_asked()).verdict is PolicyVerdict.DENY


def test_another_organisations_policies_are_not_asked() -> None:
    policies = Policies()
    policies.install(_configuration())
    assert policies.decide(question(organisation="org_2")).verdict is PolicyVerdict.DENY


def test_what_tools_look_like_outlives_an_epoch() -> None:
    policies = Policies()
    schema = json.dumps({"properties": {"amount": {"type": "number"}}}).encode()
    policies.tools_changed("org_1", {"crm__refund": ToolFacts(input_schema=schema)})
    policies.install(_configuration())
    first = policies.of("org_1")
    policies.tools_changed("org_1", {})
    assert policies.of("org_1") is not first
    policies.tools_changed("org_9", {})
    assert policies.of("org_9") is None


def test_what_is_unexpected_denies(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_self: PolicySet, _question: Question) -> PolicyDecision:
        raise RuntimeError

    policies = Policies()
    policies.install(_configuration())
    monkeypatch.setattr(PolicySet, "decide", fail)
    monkeypatch.setattr(PolicySet, "may_list", fail)
    assert policies.decide(_asked()).verdict is PolicyVerdict.DENY
    assert not policies.may_list(_asked())

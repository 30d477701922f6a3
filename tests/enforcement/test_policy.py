import json
import subprocess
import sys
from dataclasses import replace

import pytest
from tests.decisions.policy.asking import organisation, question

from ringfence.decisions.policy.policy_set import PolicySet
from ringfence.domain.agent import Autonomy
from ringfence.domain.organisation import Configuration
from ringfence.domain.policy import (
    PolicyDecision,
    PolicySource,
    PolicyVerdict,
    Question,
    ToolFacts,
)
from ringfence.enforcement.policy import Policies, facts_of


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


def test_a_tool_is_judged_by_what_is_in_force_of_it() -> None:
    text = (
        'forbid (principal, action == Action::"tool.call", resource) when {'
        " context.arguments has amount && context.arguments.amount > 1 };"
    )
    policies = Policies()
    source = PolicySource(files={"a.cedar": text}, digest="sha256:0")
    whole = replace(organisation(Autonomy.ACT_IN_SCOPE), id="org_1", policies=source)
    policies.install(Configuration(organisations={"acme": whole}, digest="sha256:0"))
    asked = question(organisation="org_1", arguments='{"amount": 2}')
    small = question(organisation="org_1", arguments='{"amount": 1}')
    assert policies.decide(small).verdict is PolicyVerdict.DENY  # nobody knows the tool
    schema = {"properties": {"amount": {"type": "integer"}}}
    whole_number = ToolFacts(input_schema=json.dumps(schema).encode())
    assert policies.decide(small, whole_number).verdict is PolicyVerdict.ALLOW
    assert policies.decide(asked, whole_number).verdict is PolicyVerdict.DENY
    assert policies.may_list(asked, whole_number)
    schema["properties"]["amount"]["type"] = "number"
    changed = ToolFacts(input_schema=json.dumps(schema).encode())
    assert "a.cedar:1" in policies.decide(small, changed).problem
    assert not policies.may_list(small, changed)
    assert policies.decide(small, whole_number).verdict is PolicyVerdict.ALLOW


def test_what_is_unexpected_denies(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> PolicyDecision:
        raise RuntimeError

    policies = Policies()
    policies.install(_configuration())
    monkeypatch.setattr(PolicySet, "decide", fail)
    monkeypatch.setattr(PolicySet, "may_list", fail)
    assert policies.decide(_asked()).verdict is PolicyVerdict.DENY
    assert not policies.may_list(_asked())


@pytest.mark.parametrize(("more", "is_loaded"), [("", False), ("tools={'a': None}", True)])
def test_who_only_calls_models_never_loads_cedar(more: str, *, is_loaded: bool) -> None:
    program = (
        "import sys\n"
        "from ringfence.domain.organisation import Configuration, Organisation\n"
        "from ringfence.enforcement.policy import Policies, facts_of\n"
        f"acme = Organisation(name='acme', {more})\n"
        "Policies().install(Configuration(organisations={'acme': acme}, digest=''))\n"
        "sys.exit('cedarpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False)  # noqa: S603 (ours)
    assert done.returncode == is_loaded


def test_the_record_says_which_policies_decided() -> None:
    decision = PolicyDecision(verdict=PolicyVerdict.ALLOW, policies=("a", "b"), content="sha256:1")
    assert facts_of(decision) == {"policies": "a, b", "content": "sha256:1"}
    assert facts_of(PolicyDecision(verdict=PolicyVerdict.ALLOW)) == {}

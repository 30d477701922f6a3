import pytest
from tests.decisions.policy.asking import organisation, policies, question

from ringfence.decisions.policy.scope import compile_agent, quoted
from ringfence.domain.action import ActionKind
from ringfence.domain.agent import Autonomy
from ringfence.domain.policy import PolicyVerdict
from ringfence.domain.tool import PermissionTier

_ALLOW, _DENY, _ASK = PolicyVerdict.ALLOW, PolicyVerdict.DENY, PolicyVerdict.ASK
_READ, _WRITE, _FINAL = PermissionTier.READ, PermissionTier.WRITE, PermissionTier.IRREVERSIBLE


@pytest.mark.parametrize(
    ("action", "resource", "verdict"),
    [
        (ActionKind.TOOL_CALL, "crm__refund", _ALLOW),
        (ActionKind.TOOL_CALL, "files__read_a", _ALLOW),
        (ActionKind.TOOL_CALL, "files__read_ab", _DENY),
        (ActionKind.TOOL_CALL, "mail__send", _DENY),
        (ActionKind.TOOL_CALL, "small", _DENY),
        (ActionKind.TOOL_CALL, "ringfence__ask_user", _ALLOW),
        (ActionKind.MODEL_CALL, "small", _ALLOW),
        (ActionKind.MODEL_CALL, "large", _DENY),
        (ActionKind.MODEL_CALL, "crm__refund", _DENY),
        (ActionKind.HTTP_REQUEST, "api.example.com", _ALLOW),
        (ActionKind.HTTP_REQUEST, "example.org", _DENY),
        (ActionKind.SHELL_EXEC, "git", _ALLOW),
        (ActionKind.SHELL_EXEC, "sh", _DENY),
        (ActionKind.AGENT_CALL, "triage", _DENY),
    ],
)
def test_without_files_exactly_the_declared_scope_is_allowed(
    action: ActionKind, resource: str, verdict: PolicyVerdict
) -> None:
    assert policies().decide(question(resource, action=action)).verdict is verdict


@pytest.mark.parametrize(
    ("autonomy", "tier", "verdict"),
    [
        (Autonomy.OBSERVE, _READ, _ALLOW),
        (Autonomy.OBSERVE, _WRITE, _DENY),
        (Autonomy.OBSERVE, _FINAL, _DENY),
        (Autonomy.ASK_ALWAYS, _READ, _ASK),
        (Autonomy.ASK_ALWAYS, _FINAL, _ASK),
        (Autonomy.ASK_IRREVERSIBLE, _WRITE, _ALLOW),
        (Autonomy.ASK_IRREVERSIBLE, _FINAL, _ASK),
        (Autonomy.ACT_IN_SCOPE, _FINAL, _ALLOW),
    ],
)
def test_autonomy_says_what_a_person_must_approve(
    autonomy: Autonomy, tier: PermissionTier, verdict: PolicyVerdict
) -> None:
    assert policies(autonomy=autonomy).decide(question(tier=tier)).verdict is verdict


@pytest.mark.parametrize("autonomy", Autonomy)
def test_no_autonomy_lets_anybody_ask_for_what_is_out_of_scope(autonomy: Autonomy) -> None:
    asked = question("mail__send", tier=_FINAL)
    assert policies(autonomy=autonomy).decide(asked).verdict is _DENY


def test_asking_a_person_needs_no_person() -> None:
    asked = question("ringfence__ask_user", tier=_FINAL)
    assert policies(autonomy=Autonomy.ASK_ALWAYS).decide(asked).verdict is _ALLOW


def test_a_model_call_is_not_gated_by_autonomy() -> None:
    raw = '{"operation": "chat", "stream": true, "tools": ["a"], "hosted_tools": []}'
    asked = question("small", raw, action=ActionKind.MODEL_CALL)
    for autonomy in (Autonomy.OBSERVE, Autonomy.ASK_ALWAYS):
        assert policies(autonomy=autonomy).decide(asked).verdict is _ALLOW


@pytest.mark.parametrize(
    ("autonomy", "hosted", "verdict"),
    [
        (Autonomy.OBSERVE, '["web_search"]', _DENY),
        (Autonomy.OBSERVE, "[]", _ALLOW),
        (Autonomy.ASK_ALWAYS, '["web_search"]', _DENY),
        (Autonomy.ASK_IRREVERSIBLE, '["web_search"]', _ALLOW),
        (Autonomy.ACT_IN_SCOPE, '["web_search"]', _ALLOW),
    ],
)
def test_tools_that_the_provider_runs_need_an_autonomy_that_lets_them(
    autonomy: Autonomy, hosted: str, verdict: PolicyVerdict
) -> None:
    raw = f'{{"operation": "chat", "stream": false, "tools": [], "hosted_tools": {hosted}}}'
    asked = question("small", raw, action=ActionKind.MODEL_CALL)
    whole = policies(autonomy=autonomy)
    assert whole.decide(asked).verdict is verdict
    gates = {Autonomy.OBSERVE, Autonomy.ASK_ALWAYS}
    assert whole.gates_hosted_tools("triage") is (autonomy in gates)


def test_compiled_policies_say_where_they_come_from() -> None:
    found = {rule.id: rule.source for rule in compile_agent(organisation().agents["triage"])}
    assert found["scope:triage:tools:crm__*"] == "scope"
    assert found["autonomy:triage:ask_irreversible"] == "autonomy"


def test_a_name_cannot_end_the_text_that_it_stands_in() -> None:
    assert quoted('a"b\\c') == '"a\\"b\\\\c"'

from tests.decisions.policy.asking import policies, question

from ringfence.decisions.policy.replay import Recorded, replay
from ringfence.domain.policy import PolicyVerdict, ToolFacts

_NEVER = 'forbid (principal, action, resource == Tool::"crm__refund");'


def _call(action: str, resource: str, was: PolicyVerdict) -> Recorded:
    return Recorded(action=action, question=question(resource), was=was)


def test_only_what_would_come_out_otherwise_is_shown() -> None:
    calls = [
        _call("act_1", "crm__refund", PolicyVerdict.ALLOW),
        _call("act_2", "crm__get", PolicyVerdict.ALLOW),
        _call("act_3", "crm__get", PolicyVerdict.DENY),
        _call("act_4", "crm__refund", PolicyVerdict.DENY),
    ]
    found = replay(policies(_NEVER), iter(calls), {})
    assert found.decided == 4
    assert [(each.recorded.action, each.would.verdict) for each in found.changed] == [
        ("act_1", PolicyVerdict.DENY),
        ("act_3", PolicyVerdict.ALLOW),
    ]
    assert found.changed[0].would.policies == ("file#1",)


def test_arguments_are_judged_by_the_tools_of_today() -> None:
    text = (
        'forbid (principal, action, resource == Tool::"crm__pay")'
        " when { context.arguments has amount && context.arguments.amount > 1 };"
    )
    tools = {"crm__pay": ToolFacts(input_schema=b'{"properties": {"amount": {"type": "integer"}}}')}
    call = Recorded(
        action="act_1",
        question=question("crm__pay", '{"amount": 2}'),
        was=PolicyVerdict.ALLOW,
    )
    (changed,) = replay(policies(text), [call], tools).changed
    assert changed.would.policies == ("file#1",)

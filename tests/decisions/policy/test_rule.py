import pytest
from tests.decisions.policy.asking import rules

from ringfence.decisions.policy.rule import Parties, can_act, can_bind, can_concern
from ringfence.domain.error import UsageError

_PARTIES = Parties(
    principal=("Agent", "triage"),
    principal_groups=frozenset({("Team", "support")}),
    action=("Action", "tool.call"),
    resource=("Tool", "crm__refund"),
    resource_groups=frozenset({("Server", "crm"), ("Pattern", "crm__*")}),
)


@pytest.mark.parametrize(
    ("head", "fits"),
    [
        ("principal, action, resource", True),
        ('principal == Agent::"triage", action, resource', True),
        ('principal == Agent::"other", action, resource', False),
        ('principal in Team::"support", action, resource', True),
        ('principal in Team::"sales", action, resource', False),
        ("principal is Agent, action, resource is Tool", True),
        ("principal, action, resource is Model", False),
        ('principal, action, resource is Tool in Server::"crm"', True),
        ('principal, action, resource is Tool in Server::"files"', False),
        ('principal, action == Action::"model.call", resource', False),
        ('principal, action in [Action::"model.call", Action::"tool.call"], resource', True),
        ('principal, action, resource in Pattern::"crm__*"', True),
        ('principal, action, resource in Pattern::"crm__get_*"', False),
    ],
)
def test_a_head_fits_whom_it_names(head: str, *, fits: bool) -> None:
    (rule,) = rules(f"forbid ({head});")
    groups = _PARTIES.resource_groups
    found = can_bind(rule, _PARTIES) and can_concern(rule, _PARTIES.resource, groups)
    assert found is fits


def test_a_head_without_an_action_is_about_all() -> None:
    (rule,) = rules("forbid (principal, action, resource);")
    assert can_act(rule, ("Action", "model.call"))


def test_a_policy_tells_what_it_reads_and_what_it_only_looks_for() -> None:
    (rule,) = rules(
        "forbid (principal, action, resource) when {"
        ' context.arguments has to.name && context.arguments["a b"] == 1'
        " && context.time.hour > 3 } unless { context has user };"
    )
    assert rule.reads == {("arguments", "a b"), ("time", "hour")}
    assert rule.tests == {("arguments", "to"), ("arguments", "to", "name"), ("user",)}
    assert rule.reads_arguments


@pytest.mark.parametrize(
    "condition",
    [
        "context == {}",
        "context.arguments == {}",
        "(if true then context.arguments else context.arguments).amount > 1",
        "[context].contains({})",
    ],
)
def test_a_policy_that_reads_everything_at_once_is_refused(condition: str) -> None:
    with pytest.raises(UsageError, match="as a whole"):
        rules(f"forbid (principal, action, resource) when {{ {condition} }};")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('@aks("x") forbid (principal, action, resource);', "unknown annotation `@aks`"),
        ('@ask("x") permit (principal, action, resource);', "`@ask` on a `permit`"),
        ("@ask forbid (principal, action, resource);", "gives no reason"),
    ],
)
def test_an_annotation_without_effect_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        rules(text)
    assert said in caught.value.message


def test_a_policy_names_its_patterns_wherever_they_stand() -> None:
    (rule,) = rules(
        'forbid (principal, action, resource in Pattern::"a*") when { resource in Pattern::"b*" };'
    )
    assert rule.patterns == {"a*", "b*"}

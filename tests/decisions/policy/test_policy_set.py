import pytest
from tests.decisions.policy.asking import REFUND, organisation, policies, question, rules, tools

from ringfence.decisions.policy.policy_set import PolicySet
from ringfence.domain.agent import Autonomy
from ringfence.domain.policy import PolicyVerdict
from ringfence.domain.tool import PermissionTier

_DENY = PolicyVerdict.DENY


def test_an_agent_that_nobody_defined_is_denied() -> None:
    decided = policies().decide(question(agent="ghost"))
    assert decided.verdict is _DENY
    assert decided.problem
    assert not policies().may_list(question(agent="ghost"))


@pytest.mark.parametrize(
    ("text", "speaks", "reads"),
    [
        ("forbid (principal, action, resource);", True, False),
        ('forbid (principal, action == Action::"tool.call", resource);', False, False),
        ('forbid (principal, action, resource == Tool::"crm__refund");', False, False),
        ('forbid (principal, action, resource in Provider::"house");', True, False),
        ('forbid (principal, action, resource in Pattern::"sm*");', True, False),
        ('forbid (principal, action, resource == Model::"large");', False, False),
        ("forbid (principal, action, resource) when { context.arguments has stream };", True, True),
    ],
)
def test_a_set_knows_whether_its_files_speak_of_models(
    text: str, *, speaks: bool, reads: bool
) -> None:
    whole = policies(text)
    assert (whole.speaks_of_models, whole.reads_requests) == (speaks, reads)


def test_what_can_never_be_called_is_not_listed() -> None:
    whole = policies('forbid (principal, action, resource == Tool::"crm__refund");')
    assert not whole.may_list(question())
    assert whole.may_list(question("crm__get"))
    assert not whole.may_list(question("mail__send"))


def test_what_depends_on_arguments_or_on_a_person_is_listed() -> None:
    limit = (
        'forbid (principal, action, resource == Tool::"crm__refund")'
        ' when { context.arguments has amount && context.arguments.amount > decimal("1.0") };'
    ).replace('amount > decimal("1.0")', 'amount.greaterThan(decimal("1.0"))')
    assert policies(limit).may_list(question(arguments=""))
    final = question(tier=PermissionTier.IRREVERSIBLE)
    assert policies().may_list(final)
    assert not policies(autonomy=Autonomy.OBSERVE).may_list(final)


def test_a_listing_is_bounded_by_what_no_argument_changes() -> None:
    both = (
        'forbid (principal, action, resource) when { context.seen.contains("untrusted") };'
        "forbid (principal, action, resource) when { context.arguments has force };"
    )
    assert policies(both).may_list(question())
    assert not policies(both).may_list(question(seen=frozenset({"untrusted"})))


def test_labels_of_a_tool_can_be_asked_for() -> None:
    text = 'forbid (principal, action, resource is Tool) when { resource.labels.contains("pii") };'
    facts = tools(crm__refund=REFUND)
    facts = {name: type(each)(labels=frozenset({"pii"})) for name, each in facts.items()}
    whole = PolicySet(organisation(), rules(text), facts)
    assert whole.decide(question()).verdict is _DENY
    assert whole.decide(question("crm__get")).verdict is PolicyVerdict.ALLOW


def test_what_always_holds_is_told_apart_from_what_depends() -> None:
    text = (
        '@id("tier") @ask("why") forbid (principal, action, resource is Tool)'
        ' when { context.tier == "write" };'
        '@id("night") forbid (principal, action, resource is Tool) when { context.time.hour < 6 };'
    )
    whole = policies(text)
    decision, depends = whole.settled(question())
    assert (decision.verdict, depends) == (PolicyVerdict.ALLOW, ("night",))
    assert whole.settled(question(tier=PermissionTier.WRITE))[0].verdict is PolicyVerdict.ASK
    assert whole.settled(question("mail__send"))[0].verdict is _DENY
    assert whole.settled(question(agent="ghost"))[0].verdict is _DENY

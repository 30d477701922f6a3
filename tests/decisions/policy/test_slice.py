import pytest
from tests.decisions.policy.asking import NOON_US, policies, question

from ringfence.decisions.policy.slice import DECISIONS_KEPT, KEPT_BYTES, MAX_BYTES
from ringfence.domain.policy import PolicyDecision, PolicyVerdict

_ALLOW, _DENY, _ASK = PolicyVerdict.ALLOW, PolicyVerdict.DENY, PolicyVerdict.ASK

_LARGE = (
    '@id("large") @ask("a large refund") forbid (principal, action == Action::"tool.call",'
    ' resource == Tool::"crm__refund") when { context.arguments has amount &&'
    ' context.arguments.amount.greaterThanOrEqual(decimal("100.0")) };'
)
_NIGHT = (
    '@id("night") @reason("nobody is there")'
    " forbid (principal, action, resource) when { context.time.hour < 7 };"
)


def _verdict(text: str, arguments: str = "{}", resource: str = "crm__refund") -> PolicyVerdict:
    return policies(text).decide(question(resource, arguments)).verdict


@pytest.mark.parametrize(
    ("arguments", "verdict"),
    [
        ('{"amount": 99.99}', _ALLOW),
        ('{"amount": 100}', _ASK),
        ('{"amount": 1e2}', _ASK),
        ("{}", _ALLOW),
        ('{"amount": null}', _DENY),
        ('{"amount": "500"}', _DENY),
        ('{"Amount": 500}', _DENY),
        ('{"amount": 1, "amount": 500}', _DENY),
        ('{"amount": 9007199254740993}', _DENY),
    ],
)
def test_a_limit_on_an_argument_holds_for_every_way_to_write_it(
    arguments: str, verdict: PolicyVerdict
) -> None:
    assert _verdict(_LARGE, arguments) is verdict


def test_a_person_is_asked_only_if_nothing_forbids_outright() -> None:
    night_us = NOON_US - 6 * 3_600_000_000
    both = policies(_LARGE + _NIGHT)
    asked = question(arguments='{"amount": 500}')
    assert both.decide(asked).verdict is _ASK
    refused = both.decide(question(arguments='{"amount": 500}', now_us=night_us))
    assert (refused.verdict, refused.policies) == (_DENY, ("night",))
    assert refused.reasons == ("nobody is there",)


def test_an_ask_tells_why_and_names_who_asks_and_who_permits() -> None:
    decided = policies(_LARGE).decide(question(arguments='{"amount": 500}'))
    assert decided.reasons == ("a large refund",)
    assert decided.policies == ("large", "scope:triage:tools:crm__*")


def test_what_a_decision_rests_on_changes_with_its_policies_alone() -> None:
    asked = question(arguments='{"amount": 500}')
    first = policies(_LARGE).decide(asked).content
    assert policies(_LARGE + _NIGHT).decide(asked).content == first
    assert policies(_LARGE.replace("100.0", "90.0")).decide(asked).content != first


def test_a_permit_of_a_file_widens_nothing() -> None:
    wide = "permit (principal, action, resource);"
    assert _verdict(wide, resource="mail__send") is _DENY
    assert _verdict(wide) is _ALLOW


def test_an_ask_beside_a_wide_permit_still_needs_the_scope() -> None:
    text = '@ask("why") forbid (principal, action, resource); permit (principal, action, resource);'
    assert _verdict(text, resource="mail__send") is _DENY
    assert _verdict(text) is _ASK


def test_a_policy_that_fails_to_evaluate_denies() -> None:
    unguarded = 'forbid (principal, action, resource) when { context.user == "eve" };'
    decided = policies(unguarded).decide(question())
    assert decided.verdict is _DENY
    assert decided.problem


def test_a_permit_that_fails_to_evaluate_denies_too() -> None:
    broken = 'permit (principal, action, resource) when { context.user == "eve" };'
    assert _verdict(broken) is _DENY


def test_decisions_are_kept_under_what_is_read_and_forgotten_in_turn() -> None:
    whole = policies(_LARGE)
    for amount in range(DECISIONS_KEPT + 50):
        decided = whole.decide(question(arguments=f'{{"amount": {amount}}}'))
        assert decided.verdict is (_ASK if amount >= 100 else _ALLOW)
    first = whole.decide(question(arguments='{"amount": 1000, "order": "a"}'))
    assert whole.decide(question(arguments='{"amount": 1e3, "order": "b"}')) is first


def test_without_policies_on_arguments_they_are_not_even_read() -> None:
    assert _verdict(_NIGHT, "not json") is _ALLOW


def test_a_long_text_is_judged_and_not_kept_and_a_huge_one_denied() -> None:
    whole = policies(
        'forbid (principal, action, resource == Tool::"crm__refund")'
        ' when { context.arguments.order like "*secret*" };'
    )

    def decide(text: str) -> PolicyDecision:
        return whole.decide(question(arguments=f'{{"order": "{text}"}}'))

    short, long = "a" * 10, "a" * KEPT_BYTES
    assert decide(short) is decide(short)
    assert decide(long).verdict is _ALLOW
    assert decide(long) is not decide(long)
    assert decide(long + "secret").policies == ("file#1",)
    huge = decide("a" * MAX_BYTES)
    assert (huge.verdict, "too large" in huge.problem) == (_DENY, True)

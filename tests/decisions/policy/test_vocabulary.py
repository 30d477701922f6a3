import pytest
from tests.decisions.policy.asking import rules

from ringfence.decisions.policy.vocabulary import misspelt


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ('context.tier == "irreversable"', [(("context", "tier"), "irreversable")]),
        ('"reed" != context.tier', [(("context", "tier"), "reed")]),
        ('["read", "writes"].contains(context.tier)', [(("context", "tier"), "writes")]),
        ('!(true && principal.category == "opne")', [(("principal", "category"), "opne")]),
        ('context.time.weekday == "Sunday"', [(("context", "time", "weekday"), "Sunday")]),
        ('context.tier == "read" || context.caller == "api"', []),
        ('context.tier == context.caller || resource.name == "reed"', []),
    ],
)
def test_a_word_that_a_fact_never_is_is_found(condition: str, found: object) -> None:
    (rule,) = rules(f"forbid (principal, action, resource) when {{ {condition} }};")
    assert list(misspelt(rule.body["conditions"])) == found

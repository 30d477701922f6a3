"""The words of budgets."""

from ringfence.domain.budget import AccountKey, BudgetScope, Per


def test_account_keys_with_the_same_parts_name_the_same_account() -> None:
    key = AccountKey("org_1", BudgetScope.AGENT, "agt_1", Per.DAY)
    assert key == AccountKey("org_1", BudgetScope("agent"), "agt_" + "1", Per("day"))
    assert hash(key) == hash(AccountKey("org_1", BudgetScope.AGENT, "agt_1", Per.DAY))
    assert key != AccountKey("org_2", BudgetScope.AGENT, "agt_1", Per.DAY)


def test_scopes_are_listed_from_the_narrowest_to_the_widest() -> None:
    assert [scope.value for scope in BudgetScope] == [
        "invocation",
        "tree",
        "agent",
        "user",
        "team",
        "organisation",
    ]

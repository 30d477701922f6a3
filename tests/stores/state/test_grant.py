from ringfence.domain.budget import AccountKey, BudgetScope, Per
from ringfence.domain.money import Money
from ringfence.domain.organisation import Organisation
from ringfence.stores.state.grant import Grant
from ringfence.stores.state.store import StateStore


def grant(acme: Organisation, number: int) -> Grant:
    account = AccountKey(acme.id, BudgetScope.AGENT, acme.agents["triage"].id, Per.DAY)
    return Grant(
        id=f"grt_{number}",
        account=account,
        window_start_us=86_400_000_000,
        amount=Money(2**53 + number),
        created_us=number,
        created_by="user:1",
        reason="quarter end",
    )


def test_a_grant_is_read_back_to_the_nano_dollar(state: StateStore, acme: Organisation) -> None:
    grants = tuple(grant(acme, number) for number in (1, 2, 3))
    for each in grants:
        state.grants.add(each)
    assert state.grants.list(acme.id) == grants
    assert state.grants.list(acme.id, after="grt_1", limit=1) == grants[1:2]


def test_grants_of_another_organisation_are_not_listed(
    state: StateStore, acme: Organisation
) -> None:
    state.grants.add(grant(acme, 1))
    assert state.grants.list("org_other") == ()

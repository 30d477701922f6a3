import hashlib

import pytest

from ringfence.domain.credential import AgentCredential
from ringfence.domain.error import UsageError
from ringfence.domain.organisation import Organisation
from ringfence.stores.state.store import StateStore
from ringfence.stores.state.token import TokenRecord


def record(acme: Organisation, number: int, replaces: str | None = None) -> TokenRecord:
    credential = AgentCredential(
        id=f"crd_{number}",
        organisation=acme.id,
        agent=acme.agents["triage"].id,
        digest=digest(number),
        created_us=number,
    )
    return TokenRecord(credential=credential, label="ci", created_by="user:1", replaces=replaces)


def digest(number: int) -> bytes:
    return hashlib.sha256(f"rf_agt_{number}".encode()).digest()


def test_a_token_is_found_by_its_digest_only(state: StateStore, acme: Organisation) -> None:
    state.tokens.add(record(acme, 1))
    assert state.tokens.find(digest(1)) == record(acme, 1).credential
    assert state.tokens.find(digest(2)) is None
    assert state.tokens.all() == (record(acme, 1).credential,)


def test_rotation_leaves_the_old_token_its_grace(state: StateStore, acme: Organisation) -> None:
    state.tokens.add(record(acme, 1))
    old = state.tokens.rotate(record(acme, 2, replaces="crd_1"), now_us=10, revoke_us=70)
    assert old.revoked_us == 70
    listed = state.tokens.list(acme.id, acme.agents["triage"].id)
    assert [(each.credential.id, each.credential.revoked_us, each.replaces) for each in listed] == [
        ("crd_1", 70, None),
        ("crd_2", None, "crd_1"),
    ]


def test_revoking_ends_a_grace_at_once_and_nothing_lengthens_a_life(
    state: StateStore, acme: Organisation
) -> None:
    agent = acme.agents["triage"].id
    state.tokens.add(record(acme, 1))
    state.tokens.rotate(record(acme, 2, replaces="crd_1"), now_us=10, revoke_us=70)
    again = state.tokens.rotate(record(acme, 3, replaces="crd_1"), now_us=20, revoke_us=900)
    assert again.revoked_us == 70
    assert state.tokens.revoke(acme.id, agent, "crd_1", now_us=30).revoked_us == 30
    assert state.tokens.revoke(acme.id, agent, "crd_1", now_us=40).revoked_us == 30


def test_a_dead_token_is_not_rotated_and_the_new_one_is_not_kept(
    state: StateStore, acme: Organisation
) -> None:
    state.tokens.add(record(acme, 1))
    state.tokens.revoke(acme.id, acme.agents["triage"].id, "crd_1", now_us=5)
    with pytest.raises(UsageError, match="already revoked"):
        state.tokens.rotate(record(acme, 2, replaces="crd_1"), now_us=5, revoke_us=5)
    assert state.tokens.find(digest(2)) is None


@pytest.mark.parametrize(("organisation", "agent"), [("org_other", None), (None, "agt_other")])
def test_a_token_is_out_of_reach_of_others(
    state: StateStore, acme: Organisation, organisation: str | None, agent: str | None
) -> None:
    state.tokens.add(record(acme, 1))
    whose = (organisation or acme.id, agent or acme.agents["triage"].id)
    assert state.tokens.list(*whose) == ()
    with pytest.raises(UsageError, match="no token with id `crd_1`"):
        state.tokens.revoke(*whose, "crd_1", now_us=5)
    assert state.tokens.all()[0].revoked_us is None


def test_listing_goes_on_after_an_id(state: StateStore, acme: Organisation) -> None:
    for number in range(1, 6):
        state.tokens.add(record(acme, number))
    agent = acme.agents["triage"].id
    page = state.tokens.list(acme.id, agent, after="crd_2", limit=2)
    assert [each.credential.id for each in page] == ["crd_3", "crd_4"]

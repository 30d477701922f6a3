from dataclasses import replace

import pytest

from ringfence.domain.credential import ApiKey
from ringfence.domain.error import UsageError
from ringfence.domain.organisation import Organisation, Role
from ringfence.stores.state.key import KeyRecord
from ringfence.stores.state.store import StateStore


def record(acme: Organisation, number: int) -> KeyRecord:
    key = ApiKey(
        id=f"key_{number}",
        organisation=acme.id,
        user=acme.users["owner@acme.example"].id,
        digest=bytes([number]) * 32,
        roles=frozenset({Role.VIEWER, Role.AUDITOR}),
        created_us=number,
    )
    return KeyRecord(key=key, label="laptop", created_by="cli:uid=0")


def test_a_key_keeps_its_roles(state: StateStore, acme: Organisation) -> None:
    state.keys.add(record(acme, 1))
    assert state.keys.find(b"\x01" * 32) == record(acme, 1).key
    assert state.keys.list(acme.id) == (record(acme, 1),)
    assert state.keys.find(b"\x02" * 32) is None


def test_a_revoked_key_stays_as_it_ended(state: StateStore, acme: Organisation) -> None:
    state.keys.add(record(acme, 1))
    ended = replace(record(acme, 1).key, revoked_us=5)
    assert state.keys.revoke(acme.id, "key_1", now_us=5) == ended
    assert state.keys.revoke(acme.id, "key_1", now_us=9) == ended


def test_a_key_is_out_of_reach_of_other_organisations(
    state: StateStore, acme: Organisation
) -> None:
    state.keys.add(record(acme, 1))
    assert state.keys.list("org_other") == ()
    with pytest.raises(UsageError, match="no API key"):
        state.keys.revoke("org_other", "key_1", now_us=5)
    assert state.keys.find(b"\x01" * 32) == record(acme, 1).key


def test_listing_goes_on_after_an_id(state: StateStore, acme: Organisation) -> None:
    for number in range(1, 5):
        state.keys.add(record(acme, number))
    page = state.keys.list(acme.id, after="key_1", limit=2)
    assert [each.key.id for each in page] == ["key_2", "key_3"]

import hashlib
from dataclasses import replace

import pytest
from sqlalchemy import create_engine, inspect, text

from ringfence.domain.caller import CallerTier
from ringfence.domain.credential import AgentCredential
from ringfence.domain.error import UsageError
from ringfence.domain.organisation import Configuration, Organisation, User
from ringfence.stores.state import schema
from ringfence.stores.state.configuration import Registration
from ringfence.stores.state.store import StateStore
from ringfence.stores.state.user import UserTokenRecord
from ringfence.testing.ids import SequentialIds


def record(organisation: Organisation, user: str, number: int = 1) -> UserTokenRecord:
    credential = AgentCredential(
        id=f"crd_{number}",
        organisation=organisation.id,
        agent="",
        user=user,
        digest=hashlib.sha256(f"rf_usr_{number}".encode()).digest(),
        created_us=number,
        revoked_us=1000,
    )
    return UserTokenRecord(credential=credential, label="laptop", created_by="user:1")


def seen(state: StateStore, organisation: Organisation, name: str) -> str:
    make_id = SequentialIds().make
    return state.users.identify(organisation.id, name, now_us=5, make_id=make_id)


def test_a_user_who_is_seen_first_and_named_later_stays_the_same(
    state: StateStore, acme: Organisation
) -> None:
    first = seen(state, acme, "new@acme.example")
    assert seen(state, acme, "new@acme.example") == first
    named = replace(acme, users={**acme.users, "new@acme.example": User(name="new@acme.example")})
    registration = Registration(now_us=9, actor="plane", make_id=SequentialIds().make)
    file = Configuration(organisations={"acme": named}, digest="sha256:9")
    known = state.configurations.register(file, registration)
    assert known.organisations["acme"].users["new@acme.example"].id == first
    assert state.users.names(acme.id)[first] == "new@acme.example"
    assert state.users.names("org_other") == {}


def test_a_user_token_is_known_to_workers_until_it_ends(
    state: StateStore, acme: Organisation
) -> None:
    ann = seen(state, acme, "ann")
    state.users.add_token(record(acme, ann))
    assert state.tokens.all() == (record(acme, ann).credential,)
    assert state.tokens.find(record(acme, ann).credential.digest) is None
    ended = state.users.revoke_token(acme.id, ann, "crd_1", now_us=50)
    assert ended.revoked_us == 50
    assert state.users.revoke_token(acme.id, ann, "crd_1", now_us=60).revoked_us == 50
    assert state.tokens.all() == (ended,)


def test_a_token_that_has_expired_keeps_its_end(state: StateStore, acme: Organisation) -> None:
    ann = seen(state, acme, "ann")
    state.users.add_token(record(acme, ann))
    assert state.users.revoke_token(acme.id, ann, "crd_1", now_us=2000).revoked_us == 1000


def test_tokens_are_listed_in_parts(state: StateStore, acme: Organisation) -> None:
    ann = seen(state, acme, "ann")
    for number in (1, 2, 3):
        state.users.add_token(record(acme, ann, number))
    first = state.users.tokens(acme.id, ann, limit=2)
    assert first == (record(acme, ann, 1), record(acme, ann, 2))
    assert state.users.tokens(acme.id, ann, after="crd_2") == (record(acme, ann, 3),)


@pytest.mark.parametrize(("organisation", "user"), [("org_other", None), (None, "user_other")])
def test_a_token_is_out_of_reach_of_others(
    state: StateStore, acme: Organisation, organisation: str | None, user: str | None
) -> None:
    ann = seen(state, acme, "ann")
    state.users.add_token(record(acme, ann))
    with pytest.raises(UsageError) as caught:
        state.users.revoke_token(organisation or acme.id, user or ann, "crd_1", now_us=5)
    assert caught.value.code == "token_unknown"
    assert state.tokens.all()[0].revoked_us == 1000


def test_a_store_of_the_first_version_learns_users_and_tiers() -> None:
    engine = create_engine("sqlite://")
    old = "CREATE TABLE credentials (organisation VARCHAR, id VARCHAR)"
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE users (organisation VARCHAR, id VARCHAR)"))
        connection.execute(text(old))
        connection.execute(text("INSERT INTO credentials VALUES ('org_1', 'crd_1')"))
        schema.schema_version.create(connection)
        connection.execute(schema.schema_version.insert().values(version=1))
        schema.migrate(connection, schema.STEPS[:1])
        assert connection.execute(text("SELECT tier FROM credentials")).scalar() == CallerTier.API
        columns = {each["name"] for each in inspect(connection).get_columns("user_tokens")}
    engine.dispose()
    assert columns == set(schema.user_tokens.columns.keys())

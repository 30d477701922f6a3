from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine, create_engine, inspect, select, text
from sqlalchemy.sql.schema import UniqueConstraint

from ringfence.domain.error import UsageError
from ringfence.stores.state.schema import metadata, migrate, schema_version

INSTALLATION_WIDE = {"epochs", "schema_version"}
CREDENTIAL_DIGESTS = {"credentials_digest", "api_keys_digest", "user_tokens_digest"}


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = create_engine("sqlite://")
    yield made
    made.dispose()


def test_every_primary_key_and_unique_index_begins_with_the_organisation() -> None:
    for table in metadata.sorted_tables:
        if table.name in INSTALLATION_WIDE:
            continue
        first = "id" if table.name == "organisations" else "organisation"
        keys = [table.primary_key.columns.keys()]
        keys += [
            each.columns.keys() for each in table.constraints if isinstance(each, UniqueConstraint)
        ]
        keys += [
            index.columns.keys()
            for index in table.indexes
            if index.unique and index.name not in CREDENTIAL_DIGESTS
        ]
        assert {key[0] for key in keys} == {first}, table.name


def test_a_new_database_is_made_at_the_newest_version(engine: Engine) -> None:
    def never(_: Connection) -> None:
        pytest.fail("a new database needs no step")

    with engine.begin() as connection:
        migrate(connection, [never])
        assert connection.execute(select(schema_version.c.version)).scalars().all() == [2]


def test_missing_steps_are_taken_once_and_in_order(engine: Engine) -> None:
    taken: list[str] = []

    def second(connection: Connection) -> None:
        taken.append("second")
        connection.execute(text("ALTER TABLE teams ADD COLUMN colour VARCHAR"))

    def third(connection: Connection) -> None:
        taken.append("third")
        connection.execute(text("UPDATE teams SET colour = 'none'"))

    with engine.begin() as connection:
        migrate(connection, [])
        migrate(connection, [second, third])
        migrate(connection, [second, third])
        columns = {column["name"] for column in inspect(connection).get_columns("teams")}
        versions = connection.execute(select(schema_version.c.version)).scalars().all()
    assert taken == ["second", "third"]
    assert "colour" in columns
    assert versions == [1, 2, 3]


def test_a_newer_schema_is_refused(engine: Engine) -> None:
    with engine.begin() as connection:
        migrate(connection, [lambda _: None])
        with pytest.raises(UsageError) as caught:
            migrate(connection, [])
    assert caught.value.code == "schema_newer"

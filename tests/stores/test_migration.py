import sqlite3
from collections.abc import Iterator

import pytest

from ringfence.domain.error import UsageError
from ringfence.stores.migration import check_latest, migrate, version_of

FIRST = ("CREATE TABLE things (id INTEGER PRIMARY KEY)", "INSERT INTO things VALUES (1)")
SECOND = ("ALTER TABLE things ADD COLUMN name TEXT NOT NULL DEFAULT 'none'",)


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    made = sqlite3.connect(":memory:", isolation_level=None)
    yield made
    made.close()


def test_a_new_file_takes_all_steps(connection: sqlite3.Connection) -> None:
    migrate(connection, (FIRST, SECOND), name="things.db")
    assert version_of(connection) == 2
    assert connection.execute("SELECT * FROM things").fetchall() == [(1, "none")]


def test_an_older_file_takes_only_the_steps_it_lacks(connection: sqlite3.Connection) -> None:
    migrate(connection, (FIRST,), name="things.db")
    migrate(connection, (FIRST, SECOND), name="things.db")
    assert connection.execute("SELECT count(*) FROM things").fetchone() == (1,)
    assert version_of(connection) == 2


def test_a_newer_file_is_refused_and_left_alone(connection: sqlite3.Connection) -> None:
    migrate(connection, (FIRST, SECOND), name="things.db")
    with pytest.raises(UsageError) as caught:
        migrate(connection, (FIRST,), name="things.db")
    assert caught.value.code == "schema_newer"
    assert caught.value.message == (
        "`things.db` has schema 2, this version of Ringfence knows up to 1"
    )
    assert version_of(connection) == 2


def test_a_step_that_fails_leaves_the_file_as_it_was(connection: sqlite3.Connection) -> None:
    migrate(connection, (FIRST,), name="things.db")
    broken = ("DELETE FROM things", "CREATE TABLE things (id INTEGER)")
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, (FIRST, broken), name="things.db")
    assert version_of(connection) == 1
    assert connection.execute("SELECT count(*) FROM things").fetchone() == (1,)


def test_a_reader_refuses_a_file_that_is_still_to_be_migrated(
    connection: sqlite3.Connection,
) -> None:
    migrate(connection, (FIRST,), name="things.db")
    check_latest(connection, (FIRST,), name="things.db")
    with pytest.raises(UsageError) as caught:
        check_latest(connection, (FIRST, SECOND), name="things.db")
    assert caught.value.code == "schema_older"

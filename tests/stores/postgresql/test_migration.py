from concurrent.futures import ThreadPoolExecutor

import pytest

from ringfence.domain.error import UsageError
from ringfence.stores.migration import Step
from ringfence.stores.postgresql.address import Address
from ringfence.stores.postgresql.connection import connect
from ringfence.stores.postgresql.migration import migrate, missing, versions

FIRST: Step = ("CREATE TABLE things (name text)",)
SECOND: Step = ("ALTER TABLE things ADD COLUMN colour text", "INSERT INTO things VALUES ('a', 'b')")


def test_planes_that_start_together_take_each_step_once(postgresql_url: str) -> None:
    address = Address.parse(postgresql_url)

    def start(_: int) -> None:
        with connect(address) as connection:
            migrate(connection, {"things": (FIRST, SECOND)})

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(start, range(6)))
    with connect(address) as connection:
        assert connection.execute("SELECT * FROM things").fetchall() == [("a", "b")]
        assert versions(connection) == {"things": 2}


def test_only_what_is_missing_is_taken_and_can_be_told_beforehand(postgresql_url: str) -> None:
    with connect(Address.parse(postgresql_url)) as connection:
        assert missing(connection, {"things": (FIRST,)}) == {"things": (FIRST,)}
        assert versions(connection) == {}
        migrate(connection, {"things": (FIRST,)})
        assert missing(connection, {"things": (FIRST, SECOND)}) == {"things": (SECOND,)}
        migrate(connection, {"things": (FIRST, SECOND)})
        assert missing(connection, {"things": (FIRST, SECOND)}) == {"things": ()}


def test_a_step_that_fails_leaves_everything_as_it_was(postgresql_url: str) -> None:
    with connect(Address.parse(postgresql_url)) as connection:
        with pytest.raises(Exception, match="syntax"):
            migrate(connection, {"things": (FIRST,), "others": (("CREATE NONSENSE",),)})
        assert versions(connection) == {}
        migrate(connection, {"things": (FIRST,)})


def test_a_newer_schema_is_refused_and_nothing_is_changed(postgresql_url: str) -> None:
    with connect(Address.parse(postgresql_url)) as connection:
        migrate(connection, {"things": (FIRST, SECOND)})
        with pytest.raises(UsageError) as caught:
            migrate(connection, {"new": (("CREATE TABLE fresh (n int)",),), "things": (FIRST,)})
        assert caught.value.code == "schema_newer"
        assert versions(connection) == {"things": 2}

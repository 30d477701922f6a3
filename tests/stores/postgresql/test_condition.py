import pytest
from tests.postgresql.server import execute

from ringfence.domain.error import UsageError
from ringfence.stores.postgresql.address import Address
from ringfence.stores.postgresql.body import open_bodies
from ringfence.stores.postgresql.condition import look
from ringfence.stores.postgresql.schema import STORES
from ringfence.stores.postgresql.state import open_state
from ringfence.stores.state.schema import STEPS


def test_the_steps_of_the_next_start_are_told_and_none_is_taken(postgresql_url: str) -> None:
    address = Address.parse(postgresql_url)
    for _ in range(2):
        found = look(address)
        assert found.steps["ledger"] == range(1, len(STORES["ledger"]) + 1)
        assert found.steps["state"] == range(1, len(STEPS) + 2)
        assert found.newer == ()
        assert found.is_primary
    open_state(address).close()
    open_bodies(address).close()
    assert look(address).steps == {}


def test_what_a_later_release_wrote_is_named(postgresql_url: str) -> None:
    address = Address.parse(postgresql_url)
    open_bodies(address).close()
    execute(postgresql_url, "UPDATE store_versions SET version = 99 WHERE store = 'bodies'")
    assert look(address).newer == ("bodies",)
    with pytest.raises(UsageError):
        open_bodies(address)


def test_a_server_that_may_lose_commits_is_told_from_one_that_does_not(
    postgresql_url: str,
) -> None:
    (fsync,) = execute(postgresql_url, "SELECT current_setting('fsync')")[0]
    assert look(Address.parse(postgresql_url)).is_durable is (fsync == "on")

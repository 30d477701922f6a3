import pytest
from tests.postgresql.server import TERMINATE, execute

from ringfence.domain.error import UnavailableError
from ringfence.stores.postgresql.address import Address
from ringfence.stores.postgresql.exchange import Exchange
from ringfence.stores.postgresql.state import open_state


@pytest.fixture
def address(postgresql_url: str) -> Address:
    made = Address.parse(postgresql_url)
    open_state(made).close()
    return made


def test_a_connection_that_broke_is_made_anew_and_what_it_was_doing_is_undone(
    address: Address, postgresql_url: str
) -> None:
    exchange = Exchange(address)
    with exchange.open() as connection:
        connection.execute("BEGIN")
        connection.execute("INSERT INTO shared_installation (hash_seed) VALUES ('7')")
    execute(postgresql_url, TERMINATE)
    with pytest.raises(UnavailableError), exchange.open() as connection:
        connection.execute("COMMIT")
    with exchange.open() as connection:
        assert connection.execute("SELECT * FROM shared_installation").fetchall() == []
    exchange.close()


def test_a_commit_is_on_disk_and_nobody_may_hold_a_lock_for_long(address: Address) -> None:
    exchange = Exchange(address)
    with exchange.open() as connection:
        shown = [
            connection.execute(f"SHOW {name}".encode()).fetchone()
            for name in ("synchronous_commit", "idle_in_transaction_session_timeout")
        ]
    assert shown == [("on",), ("2s",)]
    exchange.close()

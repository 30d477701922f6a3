from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import insert, select
from tests.postgresql.server import TERMINATE, execute

from ringfence.domain.error import UnavailableError, UsageError
from ringfence.stores.postgresql.address import Address
from ringfence.stores.postgresql.state import open_state
from ringfence.stores.state.schema import organisations


def test_planes_that_start_together_share_one_store(postgresql_url: str) -> None:
    address = Address.parse(postgresql_url)
    with ThreadPoolExecutor(6) as pool:
        for store in pool.map(lambda _: open_state(address), range(6)):
            store.database.ping()
            store.close()


def test_writers_of_two_planes_queue_up_instead_of_failing(postgresql_url: str) -> None:
    planes = [open_state(Address.parse(postgresql_url)) for _ in range(2)]

    def append(number: int) -> None:
        with planes[number % 2].database.write() as connection:
            seen = len(connection.execute(select(organisations.c.id)).all())
            row = {"id": f"org_{seen}", "name": "x", "created_us": 0}
            connection.execute(insert(organisations).values(row))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(append, range(40)))
    with planes[0].database.read() as connection:
        assert len(connection.execute(select(organisations.c.id)).all()) == 40
    for plane in planes:
        plane.close()


def test_a_reader_cannot_write(postgresql_url: str) -> None:
    store = open_state(Address.parse(postgresql_url))
    row = {"id": "org_1", "name": "x", "created_us": 0}
    with pytest.raises(UnavailableError), store.database.read() as connection:
        connection.execute(insert(organisations).values(row))
    store.close()


def test_a_store_of_a_newer_release_is_refused(postgresql_url: str) -> None:
    address = Address.parse(postgresql_url)
    open_state(address).close()
    execute(postgresql_url, "INSERT INTO schema_version VALUES (999)")
    with pytest.raises(UsageError) as caught:
        open_state(address)
    assert caught.value.code == "schema_newer"


def test_connections_that_the_server_ended_are_replaced(postgresql_url: str) -> None:
    address = Address.parse(postgresql_url)
    store = open_state(address)
    store.database.ping()
    execute(postgresql_url, TERMINATE)
    store.database.ping()
    store.close()


def test_a_broken_store_is_unavailable_and_says_nothing_of_its_content(
    postgresql_url: str,
) -> None:
    address = Address.parse(postgresql_url)
    store = open_state(address)
    execute(postgresql_url, "DROP TABLE organisations")
    row = {"id": "org_secret", "name": "x", "created_us": 0}
    with pytest.raises(UnavailableError) as caught, store.database.write() as writing:
        writing.execute(insert(organisations).values(row))
    assert caught.value.code == "store_unavailable"
    assert "org_secret" not in f"{caught.value} {caught.value.help} {caught.value.__cause__}"
    store.close()

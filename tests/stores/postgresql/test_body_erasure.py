"""What erasing must do on every place is told in `tests/conformance/test_body.py`."""

from tests.postgresql import server
from tests.stores.body.keeping import keep, messages

from ringfence.stores.body import Body, BodyStore
from ringfence.stores.postgresql.address import Address
from ringfence.stores.postgresql.body import PostgresShelves, open_bodies
from ringfence.stores.postgresql.body_erasure import erase
from ringfence.stores.postgresql.body_search import BodySearch


def test_salt_pieces_and_words_leave_no_row(postgresql_url: str) -> None:
    address = Address.parse(postgresql_url)
    store = BodyStore.open(PostgresShelves(address))
    keep(store, "act_1", Body(b'{"content":"Jane Roe"}'))
    keep(store, "act_2", Body(messages(1)[0]))
    store.close()
    assert BodySearch(address).actions("org_a", "Jane", limit=5) == ["act_1"]
    with open_bodies(address) as connection:
        assert erase(connection, "org_a", ["act_1"]) == 1
    counts = [
        server.execute(postgresql_url, f"SELECT count(*) FROM {table}")  # noqa: S608 (constants)
        for table in ("bodies", "body_chunks", "body_words")
    ]
    assert counts == [[(1,)], [(1,)], [(1,)]]


def test_many_actions_go_in_several_transactions(postgresql_url: str) -> None:
    address = Address.parse(postgresql_url)
    store = BodyStore.open(PostgresShelves(address))
    for number in range(450):
        keep(store, f"act_{number}", Body(b"body %d" % number))
    store.close()
    with open_bodies(address) as connection:
        assert erase(connection, "org_a", [f"act_{number}" for number in range(450)]) == 450
    assert server.execute(postgresql_url, "SELECT id FROM body_chunks") == []

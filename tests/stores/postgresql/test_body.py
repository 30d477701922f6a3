import pytest
from tests.postgresql.server import TERMINATE, execute
from tests.stores.body.conversation import request
from tests.stores.body.keeping import keep, messages

from ringfence.domain.error import RingfenceError
from ringfence.stores.body import BodyReader, BodyStore, Part
from ringfence.stores.postgresql.address import Address
from ringfence.stores.postgresql.body import PostgresShelves


@pytest.fixture
def place(postgresql_url: str) -> PostgresShelves:
    return PostgresShelves(Address.parse(postgresql_url))


def is_well(error: RingfenceError | None) -> bool:
    return error is None


def test_a_lost_connection_costs_one_batch_and_is_replaced(
    place: PostgresShelves, postgresql_url: str
) -> None:
    store, reader = BodyStore.open(place), BodyReader(place)
    history = messages(3)
    keep(store, "act_1", request(history[:1]))
    assert store.flush()
    assert reader.get("org_a", "act_1", Part.REQUEST) == request(history[:1]).whole
    execute(postgresql_url, TERMINATE)
    keep(store, "act_2", request(history[:2]))
    assert store.flush()
    assert not is_well(store.failure)
    assert store.not_stored == 1
    keep(store, "act_3", request(history))
    assert store.flush()
    assert is_well(store.failure)
    place.close()  # the reader's connection was ended too
    assert reader.get("org_a", "act_2", Part.REQUEST) is None
    assert reader.get("org_a", "act_3", Part.REQUEST) == request(history).whole
    store.close()
    reader.close()


def test_pieces_that_were_erased_are_stored_again(
    place: PostgresShelves, postgresql_url: str
) -> None:
    """What a writer remembers must not outlive an erasure by somebody else."""
    store, reader = BodyStore.open(place), BodyReader(place)
    body = request(messages(3))
    keep(store, "act_1", body)
    assert store.flush()
    execute(postgresql_url, "TRUNCATE bodies, body_nodes, body_chunks")
    execute(postgresql_url, "UPDATE body_shelves SET erasures = erasures + 1")
    keep(store, "act_2", body)
    assert store.flush()
    assert reader.get("org_a", "act_1", Part.REQUEST) is None
    assert reader.get("org_a", "act_2", Part.REQUEST) == body.whole
    reader.close()
    store.close()

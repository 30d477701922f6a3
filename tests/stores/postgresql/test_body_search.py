from tests.postgresql.server import execute
from tests.stores.body.keeping import keep

from ringfence.stores.body import Body, BodyStore
from ringfence.stores.postgresql.address import Address
from ringfence.stores.postgresql.body import PostgresShelves
from ringfence.stores.postgresql.body_search import BodySearch


def test_nobody_pays_before_somebody_searches(postgresql_url: str) -> None:
    address = Address.parse(postgresql_url)
    store = BodyStore.open(PostgresShelves(address))
    keep(store, "act_1", Body(b"refund"))
    store.close()
    assert execute(postgresql_url, "SELECT count(*) FROM body_words") == [(0,)]
    assert BodySearch(address).actions("org_a", "refund", limit=1) == ["act_1"]
    assert execute(postgresql_url, "SELECT count(*) FROM body_words") == [(1,)]


def test_every_word_in_the_common_index_carries_its_organisation(postgresql_url: str) -> None:
    address = Address.parse(postgresql_url)
    store = BodyStore.open(PostgresShelves(address))
    for organisation in ("org_a", "org_b"):
        keep(store, "act_1", Body(b"zebra crossing"), organisation=organisation)
    store.close()
    for organisation in ("org_a", "org_b"):
        BodySearch(address).actions(organisation, "zebra", limit=1)
    words = execute(
        postgresql_url,
        "SELECT organisation, array_to_string(tsvector_to_array(words), ',') FROM body_words"
        " ORDER BY 1",
    )
    assert words == [
        ("org_a", "org_a crossing,org_a zebra"),
        ("org_b", "org_b crossing,org_b zebra"),
    ]

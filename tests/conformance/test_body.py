"""What every store of bodies must do, whatever keeps it; written against its interface alone."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import pytest
from tests.postgresql import server
from tests.stores.body.conversation import request
from tests.stores.body.keeping import keep, messages, rows

from ringfence.domain.error import UsageError
from ringfence.stores.body import Body, BodyReader, BodySearch, BodyStore, Part
from ringfence.stores.body.place import Shelves
from ringfence.stores.body.sqlite import SqliteShelves
from ringfence.stores.body.store import committed
from ringfence.stores.postgresql import body_search
from ringfence.stores.postgresql.address import Address
from ringfence.stores.postgresql.body import PostgresShelves


@dataclass(frozen=True)
class Backend:
    """`place` gives a fresh handle on this test's own bodies."""

    place: Callable[[], Shelves]
    search: Callable[..., list[str]]
    left: Callable[[], list[tuple[object, ...]]]
    """Every row of bodies, chains and pieces of `org_a`."""

    def nothing_left(self) -> None:
        assert self.left() == []

    def store(self) -> BodyStore:
        return BodyStore.open(self.place())

    def reader(self) -> BodyReader:
        return BodyReader(self.place())

    def get(self, action: str, organisation: str = "org_a") -> bytes | None:
        reader = self.reader()
        try:
            return reader.get(organisation, action, Part.REQUEST)
        finally:
            reader.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    if request.param == "sqlite":
        return Backend(
            lambda: SqliteShelves(tmp_path),
            BodySearch(tmp_path).actions,
            lambda: [
                row
                for table in ("bodies", "nodes", "chunks")
                for row in rows(tmp_path, f"SELECT * FROM {table}")  # noqa: S608 (constants)
            ],
        )
    address = Address.parse(request.getfixturevalue("postgresql_url"))
    search = body_search.BodySearch(address).actions

    def left() -> list[tuple[object, ...]]:
        url = request.getfixturevalue("postgresql_url")
        query = """SELECT id FROM body_nodes UNION ALL SELECT id FROM body_chunks
            UNION ALL SELECT number FROM bodies"""
        return server.execute(url, query)

    return Backend(lambda: PostgresShelves(address), search, left)


def said(text: str) -> Body:
    return Body(b'{"role":"user","content":"%s"}' % text.encode())


def test_conversations_come_back_byte_for_byte(backend: Backend) -> None:
    history = messages(8)
    forked = [*history[:5], b'{"role":"user","content":"other"}', *history[6:]]
    talks = [history[:1], history[:4], history, forked, history[2:6], [], history[:4]]
    store = backend.store()
    sent = [request(talk) for talk in talks]
    kept = [keep(store, f"act_{n}", body) for n, body in enumerate(sent)]
    store.close()
    reader = backend.reader()
    for n, (body, entry) in enumerate(zip(sent, kept, strict=True)):
        assert reader.get("org_a", f"act_{n}", Part.REQUEST) == body.whole
        assert reader.holds("org_a", f"act_{n}", Part.REQUEST, committed(entry))
        assert not reader.holds("org_a", f"act_{n}", Part.REQUEST, "00")
    reader.close()


def test_raw_bytes_come_back_and_what_was_never_kept_does_not(backend: Backend) -> None:
    stream = b'data: {"x":1}\r\n\r\ndata: [DONE]\n\n\xff\x00'
    store = backend.store()
    keep(store, "act_1", Body(stream), part=Part.RESPONSE)
    keep(store, "act_2", Body(b""))
    store.close()
    reader = backend.reader()
    assert reader.get("org_a", "act_1", Part.RESPONSE) == stream
    assert reader.get("org_a", "act_1", Part.REQUEST) is None
    assert reader.get("org_a", "act_2", Part.REQUEST) == b""
    assert reader.get("org_b", "act_1", Part.RESPONSE) is None
    reader.close()


def test_what_was_kept_first_stays(backend: Backend) -> None:
    for content in (b"first", b"second"):
        store = backend.store()
        keep(store, "act_1", Body(content))
        store.close()
    assert backend.get("act_1") == b"first"


def test_a_piece_is_stored_once_across_restarts(backend: Backend) -> None:
    history = messages(4)
    for count in (2, 3, 4):
        store = backend.store()
        keep(store, f"act_{count}", request(history[:count]))
        store.close()
    rows = backend.place().open("org_a")
    with rows.transaction() as standing:
        assert (standing.next_chunk, standing.next_node, standing.next_body) == (6, 5, 4)
    rows.close()


def test_writers_of_several_processes_share_what_repeats(backend: Backend) -> None:
    """Each as another plane would: with its own memory of what is stored."""
    history = messages(12)
    backend.place().open("org_a").close()
    stores = [backend.store() for _ in range(3)]

    def talk(writer: int) -> None:
        for count in range(1, 13):
            keep(stores[writer], f"act_{writer}_{count}", request(history[:count]), talk="inv_1")
            assert stores[writer].flush()

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(talk, range(3)))
    for store in stores:
        assert (store.not_stored, store.failure) == (0, None)
        store.close()
    for writer in range(3):
        for count in (1, 6, 12):
            assert backend.get(f"act_{writer}_{count}") == request(history[:count]).whole
    rows = backend.place().open("org_a")
    with rows.transaction() as standing:
        assert (standing.next_chunk, standing.next_node, standing.next_body) == (14, 13, 37)
    rows.close()


def test_each_organisation_has_a_key_of_its_own(backend: Backend) -> None:
    store = backend.store()
    body = request(messages(3))
    one, other = keep(store, "act_1", body), keep(store, "act_1", body, organisation="org_b")
    store.close()
    assert one.address != other.address
    place = backend.place()
    keys = {place.key(organisation) for organisation in ("org_a", "org_b", "org_c")}
    assert len(keys) == 3
    assert None in keys
    place.close()


def test_what_is_erased_is_gone_and_not_found_again(backend: Backend) -> None:
    store = backend.store()
    keep(store, "act_1", said("the patient is Jane Roe of Ulm"))
    keep(store, "act_1", said("Jane is better"), part=Part.RESPONSE)
    keep(store, "act_2", request(messages(3)))
    keep(store, "act_1", said("another's Jane"), organisation="org_b")
    store.close()
    assert backend.search("org_a", "Jane", limit=5) == ["act_1"]
    place = backend.place()
    assert place.erase("org_a", ["act_1", "act_9"]) == 2
    assert place.erase("org_a", ["act_1"]) == 0
    assert place.erase("org_c", ["act_1"]) == 0
    place.close()
    assert backend.get("act_1") is None
    assert backend.get("act_2") == request(messages(3)).whole
    assert backend.get("act_1", "org_b") == said("another's Jane").whole
    assert backend.search("org_a", "Jane", limit=5) == []
    assert backend.search("org_b", "Jane", limit=5) == ["act_1"]


def test_erasing_leaves_to_others_what_they_have_too(backend: Backend) -> None:
    """Every order of erasing conversations that fork and go on from each other."""
    history = messages(6)
    talks = [history[:1], history[:4], history[:6], [*history[:2], history[5]], history[3:5]]
    for turn, order in enumerate(permutations(range(len(talks)))):
        if turn % 17:
            continue
        store = backend.store()
        for number, talk in enumerate(talks):
            keep(store, f"act_{turn}_{number}", request(talk))
        store.close()
        place = backend.place()
        for gone, number in enumerate(order, 1):
            assert place.erase("org_a", [f"act_{turn}_{number}"]) == 1
            for left in order[gone:]:
                assert backend.get(f"act_{turn}_{left}") == request(talks[left]).whole
        place.close()
        backend.nothing_left()


def test_the_writer_goes_on_after_an_erasure(backend: Backend) -> None:
    history = messages(4)
    store = backend.store()
    keep(store, "act_1", request(history[:2]))
    assert store.flush()
    place = backend.place()
    assert place.erase("org_a", ["act_1"]) == 1
    place.close()
    keep(store, "act_2", request(history[:3]))
    store.close()
    assert (store.not_stored, store.failure) == (0, None)
    assert backend.get("act_2") == request(history[:3]).whole


@pytest.mark.parametrize("organisation", ["../org_a", "org/a", "", ".", "a' b", "a" * 200])
def test_an_organisation_names_no_other_place(backend: Backend, organisation: str) -> None:
    for ask in (
        lambda: backend.reader().get(organisation, "act_1", Part.REQUEST),
        lambda: backend.search(organisation, "x", limit=1),
    ):
        with pytest.raises(UsageError) as caught:
            ask()
        assert caught.value.code == "organisation_malformed"


def test_a_message_is_found_where_it_came_first(backend: Backend) -> None:
    history = [said(text).whole for text in ("hello", "refund my order", "thank you")]
    store = backend.store()
    for count in (1, 2, 3):
        keep(store, f"act_{count}", request(history[:count]))
    store.close()
    assert backend.search("org_a", "refund", limit=9) == ["act_2"]
    assert backend.search("org_a", "Order REFUND", limit=9) == ["act_2"]
    assert backend.search("org_a", "thank hello", limit=9) == []


def test_what_came_after_the_last_search_is_found_too(backend: Backend) -> None:
    store = backend.store()
    for count, text in enumerate(["first refund", "second refund", "résumé of a ticket-4711"], 1):
        keep(store, f"act_{count}", said(text))
        assert store.flush()
        if count < 3:
            newest_first = [f"act_{n}" for n in range(count, 0, -1)]
            assert backend.search("org_a", "refund", limit=9) == newest_first
    assert backend.search("org_a", "refund", limit=1) == ["act_2"]
    assert backend.search("org_a", "resume ticket-4711", limit=9) == ["act_3"]
    assert backend.search("org_a", "4711-ticket", limit=9) == []
    store.close()


def test_no_organisation_finds_another(backend: Backend) -> None:
    store = backend.store()
    keep(store, "act_1", said("refund"))
    keep(store, "act_2", said("weather"), organisation="org_b")
    store.close()
    assert backend.search("org_b", "refund", limit=9) == []
    assert backend.search("org_c", "refund", limit=9) == []


def test_what_is_typed_is_never_a_command_to_the_index(backend: Backend) -> None:
    store = backend.store()
    keep(store, "act_1", said("say NEAR or AND"))
    store.close()
    nothing = ('"', "NEA*", "text:", "say OR nothing", "say NOT AND", "''", "!!!", "", "  ", "\\")
    for text in nothing:
        assert backend.search("org_a", text, limit=9) == [], text
    for text in ("near", "NEAR(", "-say", "(or", "and"):
        assert backend.search("org_a", text, limit=9) == ["act_1"], text


def test_a_long_text_is_found_by_its_last_word(backend: Backend) -> None:
    store = backend.store()
    keep(store, "act_1", said(" ".join(f"word{n}" for n in range(30_000)) + " " + "x" * 5000))
    store.close()
    assert backend.search("org_a", "word29999 word0", limit=9) == ["act_1"]
    assert backend.search("org_a", "word30000", limit=9) == []

import random
import sqlite3
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.stores.body.conversation import message, request

from ringfence.domain.error import RingfenceError, UsageError
from ringfence.stores.body import Body, BodyReader, BodyStore, Part
from ringfence.stores.body.schema import BODIES, shelf_path
from ringfence.stores.body.shelf import Entry
from ringfence.stores.body.store import committed
from ringfence.stores.compression import Compressor
from ringfence.stores.database import open_writable


def keep(  # noqa: PLR0913 (each test names what it is about)
    store: BodyStore,
    action: str,
    body: Body,
    *,
    organisation: str = "org_a",
    part: Part = Part.REQUEST,
    talk: str = "inv_1",
) -> Entry:
    entry = store.admit(organisation, action, part, talk, body)
    assert entry is not None
    store.put([entry])
    return entry


def code_of(error: RingfenceError | None) -> str | None:
    return error.code if error else None


def rows(folder: Path, query: str, organisation: str = "org_a") -> list[tuple[object, ...]]:
    connection = sqlite3.connect(shelf_path(folder, organisation))
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def messages(count: int, seed: int = 1, words: int = 30) -> list[bytes]:
    dice = random.Random(seed)  # noqa: S311 (a test's dice)
    return [message(dice, "user", words) for _ in range(count)]


spans_of = st.lists(st.binary(min_size=1, max_size=40), max_size=8)


@given(talk=st.lists(st.lists(st.sampled_from(messages(6, words=3)), max_size=6), max_size=5))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_conversation_comes_back_byte_for_byte(
    tmp_path_factory: pytest.TempPathFactory, talk: list[list[bytes]]
) -> None:
    """Histories that grow, shrink, fork or are rewritten."""
    folder = tmp_path_factory.mktemp("bodies")
    store, reader = BodyStore.open(folder), BodyReader(folder)
    sent = [request(history) for history in talk]
    kept = [keep(store, f"act_{n}", body) for n, body in enumerate(sent)]
    store.close()
    for n, (body, entry) in enumerate(zip(sent, kept, strict=True)):
        assert reader.get("org_a", f"act_{n}", Part.REQUEST) == body.whole
        assert reader.holds("org_a", f"act_{n}", Part.REQUEST, committed(entry))
    reader.close()


def test_a_stream_is_kept_as_its_raw_bytes(tmp_path: Path) -> None:
    stream = b'data: {"x":1}\r\n\r\ndata: [DONE]\n\n\xff\x00'
    store, reader = BodyStore.open(tmp_path), BodyReader(tmp_path)
    keep(store, "act_1", Body(stream), part=Part.RESPONSE)
    assert store.flush()
    assert reader.get("org_a", "act_1", Part.RESPONSE) == stream
    assert reader.get("org_a", "act_1", Part.REQUEST) is None
    assert reader.get("org_a", "act_2", Part.RESPONSE) is None
    assert reader.get("org_b", "act_1", Part.RESPONSE) is None
    reader.close()
    store.close()


def test_what_repeats_is_stored_once(tmp_path: Path) -> None:
    store = BodyStore.open(tmp_path)
    body = request(messages(3))
    for n in range(20):
        keep(store, f"act_{n}", body, talk=f"inv_{n}")
    store.close()
    assert rows(tmp_path, "SELECT count(*) FROM chunks") == [(4,)]
    assert rows(tmp_path, "SELECT count(*) FROM nodes") == [(3,)]
    assert rows(tmp_path, "SELECT count(*) FROM bodies") == [(20,)]
    assert rows(tmp_path, "SELECT count(DISTINCT salt) FROM bodies") == [(20,)]


def test_what_repeats_is_stored_once_after_a_restart_too(tmp_path: Path) -> None:
    history = messages(4)
    for count in (2, 3, 4):
        store = BodyStore.open(tmp_path)
        keep(store, f"act_{count}", request(history[:count]))
        store.close()
    assert rows(tmp_path, "SELECT count(*) FROM chunks") == [(5,)]
    assert rows(tmp_path, "SELECT count(*) FROM nodes") == [(4,)]


def test_a_change_in_the_middle_shares_what_comes_before(tmp_path: Path) -> None:
    store, reader = BodyStore.open(tmp_path), BodyReader(tmp_path)
    history = messages(10)
    changed = [*history[:6], b'{"role":"user","content":"other"}', *history[7:]]
    shifted = request(changed, head=b'{"model":"another","messages":[')
    keep(store, "act_1", request(history))
    keep(store, "act_2", request(changed))
    keep(store, "act_3", shifted)
    store.close()
    assert rows(tmp_path, "SELECT count(*) FROM nodes") == [(14,)]
    assert rows(tmp_path, "SELECT count(*) FROM chunks") == [(13,)]
    assert reader.get("org_a", "act_3", Part.REQUEST) == shifted.whole
    reader.close()


def test_a_conversation_of_100_steps_takes_what_is_new(tmp_path: Path) -> None:
    """Within 1.3 of storing each message once, compressed each for itself or not at all."""
    open_writable(shelf_path(tmp_path, "org_a"), BODIES).close()
    empty = shelf_path(tmp_path, "org_a").stat().st_size
    store = BodyStore.open(tmp_path)
    history: list[bytes] = []
    sent = 0
    dice = random.Random(3)  # noqa: S311 (a test's dice)
    for step in range(100):
        history.append(message(dice, "user", 300))
        body = request(history)
        sent += len(body.whole)
        keep(store, f"act_0199a0000000710080000000000{step:05}", body)
        history.append(message(dice, "assistant", 500))
    store.close()
    stored = shelf_path(tmp_path, "org_a").stat().st_size - empty
    messages, compressor = history[:-1], Compressor(3)
    assert stored < 1.3 * sum(len(compressor.compress(one)) for one in messages)
    assert stored < 0.7 * sum(map(len, messages))
    assert stored < sent / 50


def test_organisations_share_nothing(tmp_path: Path) -> None:
    store = BodyStore.open(tmp_path)
    body = request(messages(3))
    one = keep(store, "act_1", body)
    other = keep(store, "act_1", body, organisation="org_b")
    store.close()
    assert one.address != other.address
    addresses = [
        {address for (address,) in rows(tmp_path, "SELECT address FROM chunks", organisation)}
        for organisation in ("org_a", "org_b")
    ]
    assert len(addresses[0]) == len(addresses[1]) == 4
    assert not addresses[0] & addresses[1]
    assert rows(tmp_path, "SELECT key FROM keys") != rows(tmp_path, "SELECT key FROM keys", "org_b")


@pytest.mark.parametrize("organisation", ["../org_a", "org/a", "", ".", "a" * 200])
def test_an_organisation_names_no_other_place(tmp_path: Path, organisation: str) -> None:
    with pytest.raises(UsageError) as caught:
        BodyReader(tmp_path).get(organisation, "act_1", Part.REQUEST)
    assert caught.value.code == "organisation_malformed"


def test_when_the_line_is_full_bodies_are_counted_and_nobody_waits(tmp_path: Path) -> None:
    store = BodyStore.open(tmp_path, limit_bytes=100)
    first = store.admit("org_a", "act_1", Part.REQUEST, "inv_1", Body(b"x" * 60))
    assert first is not None
    assert store.admit("org_a", "act_2", Part.REQUEST, "inv_1", Body(b"x" * 60)) is None
    assert store.not_stored == 1
    store.drop([first])
    assert store.admit("org_a", "act_3", Part.REQUEST, "inv_1", Body(b"x" * 60)) is not None
    store.close()


def test_a_store_that_fails_is_seen_and_works_again(tmp_path: Path) -> None:
    store, reader = BodyStore.open(tmp_path), BodyReader(tmp_path)
    keep(store, "act_1", Body(b"first"))
    assert store.flush()
    thief = sqlite3.connect(shelf_path(tmp_path, "org_a"), isolation_level=None)
    thief.execute("BEGIN IMMEDIATE")
    keep(store, "act_2", Body(b"second"))
    assert store.flush()
    assert code_of(store.failure) == "store_unavailable"
    assert store.not_stored == 1
    thief.execute("ROLLBACK")
    thief.close()
    keep(store, "act_3", Body(b"third"))
    assert store.flush()
    assert code_of(store.failure) is None
    assert reader.get("org_a", "act_2", Part.REQUEST) is None
    assert reader.get("org_a", "act_3", Part.REQUEST) == b"third"
    reader.close()
    store.close()


def test_pieces_that_another_process_removed_are_stored_again(tmp_path: Path) -> None:
    """What the writer remembers of the file must not outlive an erasure."""
    store, reader = BodyStore.open(tmp_path), BodyReader(tmp_path)
    body = request(messages(3))
    keep(store, "act_1", body)
    assert store.flush()
    eraser = sqlite3.connect(shelf_path(tmp_path, "org_a"), isolation_level=None)
    for table in ("bodies", "nodes", "chunks"):
        eraser.execute(f"DELETE FROM {table}")  # noqa: S608 (constants)
    eraser.close()
    keep(store, "act_2", body)
    assert store.flush()
    assert reader.get("org_a", "act_1", Part.REQUEST) is None
    assert reader.get("org_a", "act_2", Part.REQUEST) == body.whole
    reader.close()
    store.close()


def test_a_damaged_file_stops_bodies_but_not_the_caller(tmp_path: Path) -> None:
    path = shelf_path(tmp_path, "org_a")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no database" * 1000)
    store = BodyStore.open(tmp_path)
    assert store.admit("org_a", "act_1", Part.REQUEST, "inv_1", Body(b"x")) is None
    assert store.failure is not None
    assert store.failure.code == "store_damaged"
    store.close()
    assert path.read_bytes() == b"no database" * 1000


def test_many_organisations_take_turns(tmp_path: Path) -> None:
    store, reader = BodyStore.open(tmp_path), BodyReader(tmp_path)
    for turn in range(2):
        for n in range(20):
            keep(store, f"act_{turn}", Body(b"body %d" % n), organisation=f"org_{n}")
        assert store.flush()
    for n in range(20):
        assert reader.get(f"org_{n}", "act_1", Part.REQUEST) == b"body %d" % n
    reader.close()
    store.close()

import sqlite3
from pathlib import Path

from tests.stores.body.keeping import keep

from ringfence.domain.error import RingfenceError
from ringfence.stores.body import Body, BodyReader, BodyStore, Part
from ringfence.stores.body.schema import shelf_path


def code_of(error: RingfenceError | None) -> str | None:
    return error.code if error else None


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


def test_what_is_prepared_is_admitted_without_the_disk(tmp_path: Path) -> None:
    store = BodyStore.open(tmp_path)
    store.prepare(["org_a", "org_b", "no/organisation"])
    assert shelf_path(tmp_path, "org_b").exists()
    for name in ("org_a", "org_b"):
        shelf_path(tmp_path, name).rename(tmp_path / name)
    assert store.admit("org_b", "act_1", Part.REQUEST, "inv_1", Body(b"x")) is not None
    assert list((tmp_path / "bodies").glob("org_b.db")) == []
    store.close()


def test_many_bodies_from_another_thread_are_all_stored(tmp_path: Path) -> None:
    store, reader = BodyStore.open(tmp_path), BodyReader(tmp_path)
    for n in range(3000):
        keep(store, f"act_{n}", Body(b"body %d" % n))
        if n % 500 == 0:
            assert store.flush()
    assert store.flush()
    assert store.not_stored == 0
    found = [reader.get("org_a", f"act_{n}", Part.REQUEST) for n in range(0, 3000, 7)]
    assert found == [b"body %d" % n for n in range(0, 3000, 7)]
    reader.close()
    store.close()

"""What is erased is gone from the file, and nothing else is."""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stores.body.keeping import keep, messages, rows

from ringfence.stores.body import Body, BodyReader, BodySearch, BodyStore, Part, erasure
from ringfence.stores.body.erasure import erase
from ringfence.stores.body.schema import BODIES, shelf_path
from ringfence.stores.database import open_writable


def talk(parts: list[bytes]) -> Body:
    """A conversation as a request holds it."""
    spans, whole = [], b'{"messages":['
    for number, part in enumerate(parts):
        whole += b"," if number else b""
        spans.append((len(whole), len(whole) + len(part)))
        whole += part
    return Body(whole + b"]}", tuple(spans))


def stored(folder: Path, bodies: dict[str, Body]) -> None:
    store = BodyStore.open(folder)
    for action, body in bodies.items():
        keep(store, action, body)
    store.flush()
    store.close()


def read(folder: Path, action: str) -> bytes | None:
    reader = BodyReader(folder)
    try:
        return reader.get("org_a", action, Part.REQUEST)
    finally:
        reader.close()


def test_row_salt_and_pieces_are_gone_from_the_file(tmp_path: Path) -> None:
    secret = b'{"role":"user","content":"the patient is Jane Roe of Ulm"}'
    stored(tmp_path, {"act_1": talk([secret]), "act_2": talk(messages(2))})
    path = shelf_path(tmp_path, "org_a")
    assert BodySearch(tmp_path).actions("org_a", "Jane", limit=5) == ["act_1"]
    ((salt,),) = rows(tmp_path, "SELECT salt FROM bodies WHERE action = 'act_1'")
    assert isinstance(salt, bytes)
    assert erase(tmp_path, "org_a", ["act_1"]) == 1
    assert read(tmp_path, "act_1") is None
    assert read(tmp_path, "act_2") == talk(messages(2)).whole
    files = b"".join(each.read_bytes() for each in path.parent.iterdir())
    assert b"Jane" not in files
    assert salt not in files
    assert BodySearch(tmp_path).actions("org_a", "Jane", limit=5) == []
    assert erase(tmp_path, "org_a", ["act_1"]) == 0


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=6), st.data())
def test_what_others_have_too_stays_with_them(steps: list[int], data: st.DataObject) -> None:
    import tempfile  # noqa: PLC0415 (a fresh folder for each example)

    with tempfile.TemporaryDirectory() as name:
        folder, parts = Path(name), messages(6)
        bodies = {f"act_{number}": talk(parts[:step]) for number, step in enumerate(steps)}
        stored(folder, bodies)
        gone = data.draw(st.sets(st.sampled_from(sorted(bodies))))
        assert erase(folder, "org_a", sorted(gone)) == len(gone)
        for action, body in bodies.items():
            assert read(folder, action) == (None if action in gone else body.whole)
        if gone == bodies.keys():
            for table in ("bodies", "nodes", "chunks"):
                assert rows(folder, f"SELECT * FROM {table}") == []  # noqa: S608 (constants)


def test_the_writer_goes_on_after_an_erasure(tmp_path: Path) -> None:
    parts = messages(4)
    store = BodyStore.open(tmp_path)
    keep(store, "act_1", talk(parts[:2]))
    store.flush()
    erase(tmp_path, "org_a", ["act_1"])
    keep(store, "act_2", talk(parts[:3]))
    store.flush()
    store.close()
    assert store.not_stored == 0
    assert read(tmp_path, "act_2") == talk(parts[:3]).whole


def test_nothing_is_made_where_nothing_is_stored(tmp_path: Path) -> None:
    assert erase(tmp_path, "org_a", ["act_1"]) == 0
    assert not shelf_path(tmp_path, "org_a").exists()


def test_who_uses_a_piece_is_found_without_reading_all_that_is_stored(tmp_path: Path) -> None:
    stored(tmp_path, {f"act_{n}": talk(messages(3)) for n in range(20)})
    assert erase(tmp_path, "org_a", ["act_1"]) == 1
    connection = open_writable(shelf_path(tmp_path, "org_a"), BODIES)
    connection.execute("CREATE TEMP TABLE asked (id INTEGER PRIMARY KEY)")
    connection.execute("INSERT INTO asked SELECT DISTINCT envelope FROM bodies")
    assert len(connection.execute(erasure._ENVELOPES).fetchall()) == 1, "however many use it"  # noqa: SLF001 (as below)
    for query in (erasure._ENDS, erasure._ENVELOPES, erasure._LINKS):  # noqa: SLF001 (their plans)
        plan = [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {query}")]
        assert any(each.startswith("SEARCH") for each in plan), plan
        assert not any(each.startswith(("SCAN bodies", "SCAN nodes")) for each in plan), plan
    connection.close()

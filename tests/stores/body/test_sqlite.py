import sqlite3
from pathlib import Path

import pytest

from ringfence.domain.error import UnavailableError
from ringfence.stores.body.erasure import erase
from ringfence.stores.body.schema import shelf_path
from ringfence.stores.body.sqlite import SqliteShelf, SqliteShelves


def test_what_another_process_erased_makes_memory_worthless_and_not_what_it_wrote(
    tmp_path: Path,
) -> None:
    path = shelf_path(tmp_path, "org_a")
    one, other = SqliteShelf(path), SqliteShelf(path)
    for shelf, is_known in ((one, False), (one, True), (other, False), (one, True), (other, True)):
        with shelf.transaction() as standing:
            assert standing.is_known is is_known
            number = standing.next_chunk
            shelf.add([(number, b"%d" % number, 1, False, b"x")], [], [])
    with one.transaction() as standing:
        assert standing.next_chunk == 6
        assert one.find_chunks([b"3", b"9"]) == {b"3": 3}
        assert one.find_chunks([]) == {}
    erase(tmp_path, "org_a", ["act_1"])
    for shelf in (one, other):
        for is_known in (False, True):
            with shelf.transaction() as standing:
                assert standing.is_known is is_known
    one.close()
    other.close()


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    shelf = SqliteShelves(tmp_path).open("org_a")
    with shelf.transaction():
        pass
    with pytest.raises(UnavailableError), shelf.transaction():
        shelf.add([(1, b"address", 1, False, b"x"), (2, b"address", 1, False, b"x")], [], [])
    with shelf.transaction() as standing:
        assert (standing.is_known, standing.next_chunk, standing.next_node) == (False, 1, 1)
    shelf.close()


def test_a_locked_file_is_unavailable(tmp_path: Path) -> None:
    shelf = SqliteShelves(tmp_path).open("org_a")
    thief = sqlite3.connect(shelf_path(tmp_path, "org_a"), isolation_level=None)
    thief.execute("BEGIN IMMEDIATE")
    with pytest.raises(UnavailableError), shelf.transaction():
        pytest.fail("somebody else writes")
    thief.close()
    shelf.close()

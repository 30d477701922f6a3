import sqlite3
import stat
from pathlib import Path

import pytest

from ringfence.domain.error import UnavailableError, UsageError
from ringfence.stores.database import (
    Blueprint,
    open_readable,
    open_writable,
    transaction,
    translated,
)

THINGS = Blueprint(
    noun="thing store",
    steps=(("CREATE TABLE things (id INTEGER PRIMARY KEY)",),),
    synchronous="FULL",
    busy_s=0.05,
)


def test_a_file_and_its_folder_are_open_to_their_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / "deep" / "things.db"
    connection = open_writable(path, THINGS)
    connection.execute("INSERT INTO things VALUES (1)")
    for folder in (tmp_path / "data", path.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = list(path.parent.iterdir())
    assert {file.name for file in files} == {"things.db", "things.db-wal", "things.db-shm"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    connection.close()


def test_what_was_written_is_there_when_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "things.db"
    first = open_writable(path, THINGS)
    first.execute("INSERT INTO things VALUES (7)")
    first.close()
    second = open_readable(path, THINGS)
    assert second.execute("SELECT id FROM things").fetchall() == [(7,)]
    second.close()


def test_a_reader_reads_beside_a_writer_and_cannot_write(tmp_path: Path) -> None:
    path = tmp_path / "things.db"
    writer = open_writable(path, THINGS)
    reader = open_readable(path, THINGS)
    writer.execute("INSERT INTO things VALUES (7)")
    assert reader.execute("SELECT id FROM things").fetchall() == [(7,)]
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("INSERT INTO things VALUES (8)")
    reader.close()
    writer.close()


def test_an_empty_file_is_refused_and_not_filled(tmp_path: Path) -> None:
    path = tmp_path / "things.db"
    path.touch()
    with pytest.raises(UsageError) as caught:
        open_writable(path, THINGS)
    assert caught.value.code == "store_damaged"
    assert path.stat().st_size == 0


@pytest.mark.parametrize("content", [b"not a database at all " * 300, b"SQLite format 3\0" * 400])
def test_a_file_of_other_bytes_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "things.db"
    path.write_bytes(content)
    for open_ in (open_writable, open_readable):
        with pytest.raises(UsageError) as caught:
            open_(path, THINGS)
        assert caught.value.code == "store_damaged"
        assert str(path) in caught.value.message
    assert path.read_bytes() == content


def test_a_database_without_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "things.db"
    foreign = sqlite3.connect(path)
    foreign.execute("CREATE TABLE other (id INTEGER)")
    foreign.close()
    with pytest.raises(UsageError) as caught:
        open_writable(path, THINGS)
    assert caught.value.code == "store_damaged"


def test_a_reader_of_a_file_that_is_not_there_makes_none(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as caught:
        open_readable(tmp_path / "things.db", THINGS)
    assert caught.value.code == "store_unavailable"
    assert list(tmp_path.iterdir()) == []


def test_a_half_made_file_of_a_crash_is_never_taken_for_whole(tmp_path: Path) -> None:
    broken = Blueprint(noun="thing store", steps=(("CREATE NONSENSE",),), synchronous="FULL")
    with pytest.raises(UnavailableError):
        open_writable(tmp_path / "things.db", broken)
    assert list(tmp_path.iterdir()) == []


def test_a_locked_store_does_not_answer(tmp_path: Path) -> None:
    path = tmp_path / "things.db"
    holder, other = open_writable(path, THINGS), open_writable(path, THINGS)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(UnavailableError) as caught, translated(path, THINGS.noun):  # noqa: SIM117
        with transaction(other):
            other.execute("INSERT INTO things VALUES (1)")
    assert "locked" in caught.value.message
    holder.close()
    other.close()


def test_a_transaction_that_fails_changes_nothing(tmp_path: Path) -> None:
    connection = open_writable(tmp_path / "things.db", THINGS)
    with pytest.raises(KeyError), transaction(connection):  # noqa: PT012 (the pair is the test)
        connection.execute("INSERT INTO things VALUES (1)")
        raise KeyError
    assert connection.execute("SELECT count(*) FROM things").fetchone() == (0,)
    connection.close()

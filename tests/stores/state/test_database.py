import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, select

from ringfence.domain.error import UnavailableError, UsageError
from ringfence.stores.state.database import FILE, Database, open_sqlite
from ringfence.stores.state.schema import organisations


def add_organisation(database: Database, identifier: str) -> None:
    with database.write() as connection:
        row = {"id": identifier, "name": "x", "created_us": 0}
        connection.execute(insert(organisations).values(row))


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_only_the_owner_can_reach_the_data(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "data"
    database = open_sqlite(folder)
    assert mode(folder) == 0o700
    assert {mode(file) for file in folder.iterdir()} == {0o600}
    assert {file.name for file in folder.iterdir()} >= {FILE, f"{FILE}-wal"}
    database.close()


def test_an_empty_folder_is_tightened_and_a_foreign_one_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir(mode=0o755)
    open_sqlite(empty).close()
    assert mode(empty) == 0o700
    empty.chmod(0o755)
    open_sqlite(empty).close()
    assert mode(empty) == 0o700

    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "notes.txt").touch()
    shared.chmod(0o755)
    with pytest.raises(UsageError) as caught:
        open_sqlite(shared)
    assert caught.value.code == "data_folder_open"
    assert mode(shared) == 0o755


def test_a_file_in_the_place_of_the_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(UsageError) as caught:
        open_sqlite(tmp_path / "data")
    assert caught.value.code == "data_folder_unusable"


def test_the_database_waits_in_write_ahead_mode(tmp_path: Path) -> None:
    open_sqlite(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / FILE)) as raw:
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_writers_queue_up_instead_of_failing(tmp_path: Path) -> None:
    database = open_sqlite(tmp_path)

    def append(_: int) -> None:
        with database.write() as connection:
            seen = len(connection.execute(select(organisations.c.id)).all())
            row = {"id": f"org_{seen}", "name": "x", "created_us": 0}
            connection.execute(insert(organisations).values(row))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(append, range(40)))
    with database.read() as connection:
        assert len(connection.execute(select(organisations.c.id)).all()) == 40
    database.close()


def test_a_broken_store_is_unavailable_and_says_nothing_of_its_content(tmp_path: Path) -> None:
    database = open_sqlite(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE)) as raw:
        raw.execute("DROP TABLE organisations")
    database.ping()
    with pytest.raises(UnavailableError) as caught:
        add_organisation(database, "org_secret")
    assert caught.value.code == "store_unavailable"
    assert "org_secret" not in f"{caught.value} {caught.value.help} {caught.value.__cause__}"
    database.close()


def test_the_process_owns_what_it_made(tmp_path: Path) -> None:
    open_sqlite(tmp_path).close()
    assert (tmp_path / FILE).stat().st_uid == os.geteuid()


def test_an_emptied_or_overwritten_store_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    open_sqlite(tmp_path).close()
    for content in (b"", b"no database" * 100):
        (tmp_path / FILE).write_bytes(content)
        with pytest.raises(UsageError) as caught:
            open_sqlite(tmp_path)
        assert caught.value.code == "store_damaged"
        assert (tmp_path / FILE).read_bytes() == content


def test_a_store_is_made_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space")

    with monkeypatch.context() as broken:
        broken.setattr("ringfence.stores.state.schema.migrate", fail)
        with pytest.raises(OSError, match="no space"):
            open_sqlite(tmp_path)
    assert list(tmp_path.iterdir()) == []
    open_sqlite(tmp_path).close()


def test_processes_that_start_together_share_one_store(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        for database in pool.map(lambda _: open_sqlite(tmp_path), range(8)):
            database.ping()
            database.close()


def test_what_is_deleted_is_overwritten_in_the_file_and_beside_it(tmp_path: Path) -> None:
    database = open_sqlite(tmp_path)
    add_organisation(database, "org_secret_of_jane")
    with database.write() as connection:
        connection.execute(delete(organisations))
    assert b"org_secret_of_jane" in (tmp_path / f"{FILE}-wal").read_bytes()
    database.overwrite()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"org_secret_of_jane" not in kept
    database.close()


def test_a_reader_in_its_way_does_not_stop_what_is_deleted(tmp_path: Path) -> None:
    database = open_sqlite(tmp_path)
    with database.read() as connection:
        connection.execute(select(organisations)).all()
        add_organisation(database, "org_1")
        database.overwrite()
    add_organisation(database, "org_2")
    with database.read() as connection:
        assert len(connection.execute(select(organisations)).all()) == 2
    database.close()

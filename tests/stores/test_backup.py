import io
import os
import sqlite3
import tarfile
import threading
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from ringfence.domain.error import UnavailableError, UsageError
from ringfence.stores.backup import (
    RESTORED,
    Manifest,
    back_up,
    forget_restored,
    read_restored,
    restore,
)

FILES = {"checkpoints/log_1": b"vouched", "prices.json": b"{}"}
DATABASES = ("state.db", "ledger/log_1.db", "bodies/org_1.db")


def fill(path: Path, rows: int = 100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE IF NOT EXISTS facts (n INTEGER, twice INTEGER)")
        connection.executemany("INSERT INTO facts VALUES (?, ?)", [(n, 2 * n) for n in range(rows)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder with files of every kind."""
    folder = tmp_path / "data"
    for name in DATABASES:
        fill(folder / name)
    for name, data in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "control.sock").write_bytes(b"")
    (folder / ".unfinished.new").write_bytes(b"x")
    return folder


@pytest.fixture
def archive(folder: Path, tmp_path: Path) -> Path:
    target = tmp_path / "copy.tar"
    back_up(folder, target, version="1", now_us=5)
    return target


def rows(path: Path) -> list[tuple[int, int]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT n, twice FROM facts ORDER BY rowid").fetchall()


def test_everything_comes_back_and_nothing_else(folder: Path, archive: Path) -> None:
    target = folder.with_name("again")
    manifest = restore(archive, target, now_us=9)
    assert {each.name for each in manifest.files} == {*DATABASES, *FILES}
    for name in DATABASES:
        assert rows(target / name) == rows(folder / name)
    for name, data in FILES.items():
        assert (target / name).read_bytes() == data
    restored = read_restored(target)
    assert restored is not None
    assert (restored.created_us, restored.restored_us) == ("5", "9")
    forget_restored(target)
    assert read_restored(target) is None


def test_what_vouches_stands_before_what_it_vouches_for(archive: Path) -> None:
    with tarfile.open(archive) as file:
        names = file.getnames()
    assert names == [*sorted(FILES), *DATABASES, "manifest.json"]


def test_only_the_owner_can_read_it(folder: Path, archive: Path) -> None:
    assert archive.stat().st_mode & 0o777 == 0o600
    target = folder.with_name("again")
    restore(archive, target, now_us=9)
    assert target.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in target.rglob("*") if path.is_file()} == {0o600}


def test_a_writer_goes_on_and_the_copy_is_one_moment(folder: Path, tmp_path: Path) -> None:
    stop = threading.Event()
    path = folder / "ledger" / "log_1.db"

    def write() -> None:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=60)) as connection:
            n = 1000
            while not stop.is_set():
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("INSERT INTO facts VALUES (?, ?)", (n, 0))
                connection.execute("UPDATE facts SET twice = ? WHERE n = ?", (2 * n, n))
                connection.execute("COMMIT")
                n += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            back_up(folder, tmp_path / f"{number}.tar", version="1", now_us=5)
    finally:
        stop.set()
        writer.join()
    for number in range(5):
        target = tmp_path / str(number)
        restore(tmp_path / f"{number}.tar", target, now_us=9)
        found = rows(target / "ledger" / "log_1.db")
        assert [n for n, _ in found[100:]] == list(range(1000, 900 + len(found)))
        assert all(twice == 2 * n for n, twice in found)


def test_a_backup_overwrites_nothing(folder: Path, archive: Path) -> None:
    before = archive.read_bytes()
    with pytest.raises(UsageError, match="exists already"):
        back_up(folder, archive, version="1", now_us=6)
    assert archive.read_bytes() == before


def test_what_is_no_data_folder_is_not_backed_up(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no data folder"):
        back_up(tmp_path, tmp_path / "copy.tar", version="1", now_us=5)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_store_fails_and_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    (folder / "state.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(UsageError, match="damaged"):
        back_up(folder, tmp_path / "copy.tar", version="1", now_us=5)
    assert {path.name for path in tmp_path.iterdir()} == {"data"}


def test_a_folder_that_cannot_be_written_is_said(folder: Path) -> None:
    with pytest.raises(UnavailableError, match="cannot be reached"):
        back_up(folder, folder / "missing" / "copy.tar", version="1", now_us=5)


def test_a_used_folder_is_left_alone(folder: Path, archive: Path) -> None:
    before = sorted(folder.rglob("*"))
    with pytest.raises(UsageError, match="is not empty"):
        restore(archive, folder, now_us=9)
    assert sorted(folder.rglob("*")) == before


def test_an_empty_folder_is_used(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    restore(archive, tmp_path / "again", now_us=9)
    assert (tmp_path / "again" / RESTORED).exists()


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9, 0.999])
def test_a_cut_backup_is_refused_and_leaves_nothing(
    archive: Path, tmp_path: Path, share: float
) -> None:
    with tarfile.open(archive) as file:
        last = file.getmembers()[-1]
    archive.write_bytes(archive.read_bytes()[: int((last.offset_data + last.size) * share)])
    with pytest.raises(UsageError) as caught:
        restore(archive, tmp_path / "again", now_us=9)
    assert caught.value.code == "backup_damaged"
    assert {path.name for path in tmp_path.iterdir()} == {"data", "copy.tar"}


def test_any_changed_byte_of_a_file_is_noticed(archive: Path, tmp_path: Path) -> None:
    data = archive.read_bytes()
    with tarfile.open(archive) as file:
        places = [
            info.offset_data + info.size // 2 for info in file if info.name != "manifest.json"
        ]
    for place in places:
        changed = bytearray(data)
        changed[place] ^= 1
        archive.write_bytes(changed)
        with pytest.raises(UsageError, match="cannot be used"):
            restore(archive, tmp_path / "again", now_us=9)


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "a/../../outside"])
def test_a_name_that_leads_outside_is_refused(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "evil.tar"
    (tmp_path / "payload").write_bytes(b"x")
    with tarfile.open(archive, "w") as file:
        file.add(tmp_path / "payload", arcname=name, filter=lambda info: _named(info, name))
    with pytest.raises(UsageError, match="cannot be used"):
        restore(archive, tmp_path / "again", now_us=9)
    assert not (tmp_path / "outside").exists()
    assert not (tmp_path / "again").exists()


def _named(info: tarfile.TarInfo, name: str) -> tarfile.TarInfo:
    info.name = name
    return info


@pytest.mark.parametrize(
    "headers",
    [
        {"path": "a\0b"},
        {"path": "a\nb"},
        {"path": "./state.db"},
        {"path": "ledger//log.db"},
        # A terabyte of nothing in half a kilobyte.
        {"GNU.sparse.map": "0,1", "GNU.sparse.size": str(2**40), "GNU.sparse.name": "state.db"},
    ],
)
def test_a_name_or_a_size_that_no_backup_has_is_refused(
    headers: dict[str, str], tmp_path: Path
) -> None:
    archive = tmp_path / "evil.tar"
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as file:
        info = tarfile.TarInfo("state.db")
        info.size, info.pax_headers = 1, headers
        file.addfile(info, io.BytesIO(b"x"))
    with pytest.raises(UsageError, match="cannot be used") as caught:
        restore(archive, tmp_path / "again", now_us=9)
    assert str(caught.value).isprintable()
    assert not (tmp_path / "again").exists()


def test_a_file_that_comes_twice_is_refused(archive: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed.tar"
    with tarfile.open(archive) as before, tarfile.open(changed, "w") as after:
        for info in before:
            after.addfile(info, before.extractfile(info))
            if info.name == "state.db":
                after.addfile(info, before.extractfile(info))
    with pytest.raises(UsageError, match="cannot be used"):
        restore(changed, tmp_path / "again", now_us=9)


def test_a_link_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "evil.tar"
    with tarfile.open(archive, "w") as file:
        info = tarfile.TarInfo("state.db")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(info)
    with pytest.raises(UsageError, match="cannot be used"):
        restore(archive, tmp_path / "again", now_us=9)


def test_a_file_that_the_manifest_does_not_know_is_refused(archive: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed.tar"
    with tarfile.open(archive) as before, tarfile.open(changed, "w") as after:
        for info in before:
            if info.name == "manifest.json":
                extra = tarfile.TarInfo("extra")
                after.addfile(extra)
            after.addfile(info, before.extractfile(info))
    with pytest.raises(UsageError, match="was not backed up"):
        restore(changed, tmp_path / "again", now_us=9)


def test_a_backup_of_another_format_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "new.tar"
    manifest = Manifest(format=2, version="9", created_us="1", files=[])
    (tmp_path / "m").write_bytes(msgspec.json.encode(manifest))
    with tarfile.open(archive, "w") as file:
        file.add(tmp_path / "m", arcname="manifest.json")
    with pytest.raises(UsageError, match="format 2 is not known"):
        restore(archive, tmp_path / "again", now_us=9)


def test_a_missing_backup_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        restore(tmp_path / "none.tar", tmp_path / "again", now_us=9)
    assert caught.value.code == "backup_missing"


def test_pieces_left_by_a_killed_attempt_are_not_backed_up(folder: Path, tmp_path: Path) -> None:
    (folder / f".data.{os.getpid()}.part").write_bytes(b"x")
    manifest = back_up(folder, tmp_path / "copy.tar", version="1", now_us=5)
    assert not any(each.name.endswith(".part") for each in manifest.files)

"""Back up a data folder while it is in use, and put it back: one tar file with a manifest.

What vouches for the record (checkpoints, keys) is copied before the record, and the record before
the bodies it commits to, so that whatever is vouched for is in the copy.
"""

import hashlib
import io
import os
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Final

import msgspec

from ringfence.domain.error import UsageError
from ringfence.stores.database import make_folder, sync_folder, translated

RESTORED: Final = "restored.json"
"""Tells the next start that the folder is an older copy; gone once that is on the record."""

_FORMAT: Final = 1
_MANIFEST: Final = "manifest.json"
_FILE_MODE: Final = 0o600
_PIECE_BYTES: Final = 1024 * 1024
_NOT_COPIED: Final = (".sock", "-wal", "-shm", "-journal", ".new", ".part")
_ORDER: Final = ("state.db", "ledger/", "bodies/")
"""Everything else comes before these."""


class Entry(msgspec.Struct, frozen=True):
    """One file: its place under the data folder, its size and its SHA-256 in hex."""

    name: str
    size_bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds; written last, so that a backup without one is not whole."""

    format: int
    version: str
    """Of Ringfence."""
    created_us: str
    files: list[Entry]

    @property
    def size_bytes(self) -> int:
        """All files together."""
        return sum(each.size_bytes for each in self.files)


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What `RESTORED` says: when the copy was made and when it was put back, UTC microseconds."""

    created_us: str
    restored_us: str


def back_up(folder: Path, target: Path, *, version: str, now_us: int) -> Manifest:
    """Copy a data folder into `target`, which must not exist.

    A plane may write the folder meanwhile. Raises UsageError `data_folder_missing`,
    `backup_exists` or `store_damaged`, UnavailableError `store_unavailable`; then nothing is left.
    """
    if not (folder / "state.db").exists():
        raise UsageError(
            "data_folder_missing",
            f"`{folder}` is no data folder of Ringfence",
            help="name the one to back up with --data",
        )
    if target.exists():
        raise UsageError("backup_exists", f"`{target}` exists already", help="name another file")
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with translated(target, "backup"), _private(part) as file:
            with tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as archive:
                entries = [_add(archive, folder, name, part) for name in _names(folder)]
                manifest = Manifest(
                    format=_FORMAT, version=version, created_us=str(now_us), files=entries
                )
                _add_bytes(archive, _MANIFEST, msgspec.json.encode(manifest))
            file.flush()
            os.fsync(file.fileno())
        part.rename(target)
        sync_folder(target.parent)
    finally:
        part.unlink(missing_ok=True)
    return manifest


def restore(source: Path, folder: Path, *, now_us: int) -> Manifest:
    """Put a backup back into a folder that is missing or empty.

    Raises UsageError `folder_not_empty`, `backup_missing` or `backup_damaged`, UnavailableError
    `store_unavailable`; then the folder is as it was.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(
            "folder_not_empty",
            f"`{folder}` is not empty",
            help="move it away first, or name another folder with --data",
        )
    new = folder.with_name(f".{folder.name}.{os.getpid()}.new")
    with translated(folder, "data folder"):
        make_folder(new)
        try:
            manifest = _unpack(source, new)
            for each in manifest.files:
                if each.name.endswith(".db"):
                    _check(new / each.name, source)
            marker = Restored(created_us=manifest.created_us, restored_us=str(now_us))
            _write(new / RESTORED, msgspec.json.encode(marker))
            if folder.exists():
                folder.rmdir()
            new.rename(folder)
        finally:
            _remove(new)
    sync_folder(folder.parent)
    return manifest


def read_restored(folder: Path) -> Restored | None:
    """Whether a folder was put back and has not been used since."""
    path = folder / RESTORED
    return msgspec.json.decode(path.read_bytes(), type=Restored) if path.exists() else None


def forget_restored(folder: Path) -> None:
    """It is on the record now."""
    (folder / RESTORED).unlink(missing_ok=True)


def _names(folder: Path) -> list[str]:
    """Every file to copy, in the order of the module's docstring."""
    found = [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file()
        and not path.is_symlink()
        and not path.name.startswith(".")
        and not path.name.endswith(_NOT_COPIED)
    ]
    return sorted(found, key=lambda name: (_place(name), name))


def _place(name: str) -> int:
    places = (at for at, prefix in enumerate(_ORDER, 1) if name.startswith(prefix))
    return next(places, 0)


def _add(archive: tarfile.TarFile, folder: Path, name: str, part: Path) -> Entry:
    if not name.endswith(".db"):
        return _add_bytes(archive, name, (folder / name).read_bytes())
    copy = part.with_suffix(".db.part")
    try:
        _copy_database(folder / name, copy)
        digest = hashlib.sha256()
        with copy.open("rb") as file:
            for piece in _pieces(file):
                digest.update(piece)
        archive.add(copy, arcname=name, filter=_nameless)
        return Entry(name, copy.stat().st_size, digest.hexdigest())
    finally:
        copy.unlink(missing_ok=True)


def _add_bytes(archive: tarfile.TarFile, name: str, data: bytes) -> Entry:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.mode = _FILE_MODE
    archive.addfile(info, io.BytesIO(data))
    return Entry(name, len(data), hashlib.sha256(data).hexdigest())


def _nameless(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without whose file it was."""
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mode = _FILE_MODE
    return info


def _copy_database(source: Path, target: Path) -> None:
    """One consistent state; in WAL mode the copy holds up no writer."""
    with translated(source, "store"), _private(target):
        uri = f"{source.absolute().as_uri()}?mode=ro"
        with (
            closing(sqlite3.connect(uri, uri=True)) as before,
            closing(sqlite3.connect(target)) as after,
        ):
            before.backup(after)
            after.execute("PRAGMA journal_mode = WAL")


_TYPES: Final = (tarfile.REGTYPE, tarfile.AREGTYPE)
"""Plain files. One with holes could be of any size, however short the archive."""
_UP: Final = ".."


def _unpack(source: Path, folder: Path) -> Manifest:
    """Write every file of a backup and compare all with its manifest."""
    try:
        found, manifest = _extract_all(source, folder)
    except FileNotFoundError:
        raise UsageError("backup_missing", f"no such file `{source}`") from None
    except (tarfile.TarError, EOFError, msgspec.MsgspecError) as error:
        raise _damaged(source, str(error)) from error
    if manifest is None:
        raise _damaged(source, "it ends too early")
    if manifest.format != _FORMAT:
        raise _damaged(source, f"format {manifest.format} is not known to this version")
    for each in manifest.files:
        if found.pop(each.name, None) != each:
            raise _damaged(source, f"`{each.name}` is not what was backed up")
    if found:
        raise _damaged(source, f"it holds `{min(found)}`, which was not backed up")
    return manifest


def _extract_all(source: Path, folder: Path) -> tuple[dict[str, Entry], Manifest | None]:
    """Everything before the manifest, which stands last, and the manifest if there is one."""
    found: dict[str, Entry] = {}
    manifest: Manifest | None = None
    with tarfile.open(source, mode="r|") as archive:
        for info in archive:
            is_ours = info.type in _TYPES and not info.issparse() and _is_inside(info.name)
            member = archive.extractfile(info) if is_ours else None
            if manifest is not None or member is None or info.name in found:
                raise _damaged(source, f"it holds {info.name!a}")
            if info.name == _MANIFEST:
                manifest = msgspec.json.decode(member.read(), type=Manifest)
            else:
                found[info.name] = _extract(member, info.name, folder)
    return found, manifest


def _is_inside(name: str) -> bool:
    """Whether a name stays within the folder, and is written as we write names."""
    parts = Path(name).parts
    return name.isprintable() and bool(parts) and "/".join(parts) == name and _UP not in parts


def _extract(member: IO[bytes], name: str, folder: Path) -> Entry:
    path = folder / name
    make_folder(path.parent)
    digest, size_bytes = hashlib.sha256(), 0
    with _private(path) as file:
        for piece in _pieces(member):
            file.write(piece)
            digest.update(piece)
            size_bytes += len(piece)
        file.flush()
        os.fsync(file.fileno())
    return Entry(name, size_bytes, digest.hexdigest())


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(_PIECE_BYTES):
        yield piece


def _check(path: Path, source: Path) -> None:
    try:
        with closing(sqlite3.connect(path)) as connection:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        raise _damaged(source, f"`{path.name}`: {error}") from error
    if verdict != "ok":
        raise _damaged(source, f"`{path.name}`: {verdict}")


@contextmanager
def _private(path: Path) -> Iterator[io.BufferedWriter]:
    """A new file that only its owner can read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        yield file


def _write(path: Path, data: bytes) -> None:
    with _private(path) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _remove(folder: Path) -> None:
    """Take away what was left of an attempt."""
    if not folder.exists():
        return
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


def _damaged(source: Path, what: str) -> UsageError:
    return UsageError("backup_damaged", f"backup `{source}` cannot be used: {what}")

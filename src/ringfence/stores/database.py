"""Open SQLite files safely: private, in WAL mode, migrated, and never silently empty."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ringfence.domain.error import UnavailableError, UsageError
from ringfence.stores import migration

_FOLDER_MODE = 0o700
_FILE_MODE = 0o600
_CACHED_STATEMENTS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """What one kind of SQLite file looks like.

    `noun` names it in messages. `synchronous` FULL survives a power cut with every commit, NORMAL
    may lose the last ones but never tears. `page_bytes` holds for files made from now on.
    """

    noun: str
    steps: Sequence[migration.Step]
    synchronous: Literal["FULL", "NORMAL"]
    busy_s: float = 1.0
    page_bytes: int = 4096


def make_folder(folder: Path) -> None:
    """Make a folder that only its owner can enter, and its parents likewise."""
    for part in (*reversed(folder.parents), folder):
        part.mkdir(mode=_FOLDER_MODE, exist_ok=True)


def open_writable(path: Path, blueprint: Blueprint) -> sqlite3.Connection:
    """Open a file for writing, making it if it is not there, and bring its schema up to date.

    The connection is in autocommit mode and may be handed to another thread. Raises UsageError
    `store_damaged` or `schema_newer`, UnavailableError `store_unavailable`.
    """
    with translated(path, blueprint.noun):
        if not path.exists():
            _create(path, blueprint)
        _refuse_hollow(path, blueprint.noun)
        connection = _connect(path, blueprint, "rw")
        try:
            _refuse_blank(connection, path, blueprint.noun)
            migration.migrate(connection, blueprint.steps, name=str(path))
        except BaseException:
            connection.close()
            raise
        return connection


def open_readable(path: Path, blueprint: Blueprint) -> sqlite3.Connection:
    """Open a file for reading beside its writer or after it.

    Raises UsageError `store_damaged`, `schema_newer` or `schema_older`, UnavailableError
    `store_unavailable`.
    """
    with translated(path, blueprint.noun):
        _refuse_hollow(path, blueprint.noun)
        connection = _connect(path, blueprint, "ro")
        try:
            _refuse_blank(connection, path, blueprint.noun)
            migration.check_latest(connection, blueprint.steps, name=str(path))
        except BaseException:
            connection.close()
            raise
        return connection


@contextmanager
def translated(path: Path, noun: str) -> Iterator[None]:
    """Turn SQLite's errors into ours, keeping the cause."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if type(error) is sqlite3.DatabaseError:  # SQLITE_CORRUPT and SQLITE_NOTADB have no class
            raise damaged(path, noun, str(error)) from error
        raise UnavailableError(
            "store_unavailable",
            f"{noun} `{path}` does not answer: {error}",
            help="`ringfence doctor` says how much room is left, and whether the file is whole",
        ) from error
    except OSError as error:
        raise UnavailableError(
            "store_unavailable", f"{noun} `{path}` cannot be reached: {error.strerror}"
        ) from error


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit what is done within, or nothing of it; takes the write lock at once."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite itself rolls back on some errors
            connection.execute("ROLLBACK")
        raise


def damaged(path: Path, noun: str, what: str) -> UsageError:
    """The error for a file that must not be used and must not be replaced by an empty one."""
    return UsageError(
        "store_damaged",
        f"{noun} `{path}` is damaged: {what}",
        help="restore it from a backup, or move it away to begin anew without it",
    )


def _connect(path: Path, blueprint: Blueprint, mode: Literal["rw", "ro"]) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=blueprint.busy_s,
        cached_statements=_CACHED_STATEMENTS,
    )
    try:
        if mode == "rw":
            connection.execute(f"PRAGMA synchronous = {blueprint.synchronous}")
    except BaseException:
        connection.close()
        raise
    return connection


def _create(path: Path, blueprint: Blueprint) -> None:
    """Make the file whole under another name, so that a crash never leaves a hollow one."""
    make_folder(path.parent)
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    new.unlink(missing_ok=True)
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _FILE_MODE))
    try:
        connection = _connect(new, blueprint, "rw")
        try:
            connection.execute(f"PRAGMA page_size = {blueprint.page_bytes}")
            connection.execute("PRAGMA journal_mode = WAL")
            migration.migrate(connection, blueprint.steps, name=str(path))
        finally:
            connection.close()
        try:
            os.link(new, path)
        except FileExistsError:
            return  # another process was first; its file is as good
    finally:
        new.unlink()
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refuse_hollow(path: Path, noun: str) -> None:
    if path.stat().st_size == 0:
        raise damaged(path, noun, "it is empty")


def _refuse_blank(connection: sqlite3.Connection, path: Path, noun: str) -> None:
    if migration.version_of(connection) == 0:
        raise damaged(path, noun, "it holds no schema")

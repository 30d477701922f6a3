"""Where checkpoints, leaf hashes and keys stand under the data folder."""

import os
from pathlib import Path
from typing import Final

from ringfence.stores.database import make_folder, sync_folder

FOLDER: Final = "checkpoints"
_FILE_MODE: Final = 0o600


def keys_path(folder: Path) -> Path:
    """The public keys, each vouched for by the one before it."""
    return folder / FOLDER / "keys"


def directory_path(folder: Path) -> Path:
    """The signed list of all logs."""
    return folder / FOLDER / "directory"


def notes_path(folder: Path, log_id: str) -> Path:
    """A log's checkpoints, the newest last."""
    return folder / FOLDER / f"{log_id}.notes"


def hashes_path(folder: Path, log_id: str) -> Path:
    """The hashes of a log's leaves, 32 bytes each, in order."""
    return folder / FOLDER / f"{log_id}.hashes"


def tree_path(folder: Path, log_id: str) -> Path:
    """The frontier of a log's tree at some checkpoint, to start quickly.

    Its name sorts before that of the checkpoints: a copy made in order never has it ahead of them.
    """
    return folder / FOLDER / f"{log_id}.frontier"


def deletions_path(folder: Path, log_id: str) -> Path:
    """The signed list of what was deleted from a log on purpose."""
    return folder / FOLDER / f"{log_id}.deleted"


def deletions_paths(folder: Path) -> list[Path]:
    """Every such list that there is."""
    return sorted((folder / FOLDER).glob("*.deleted"))


def directory_lock_path(folder: Path) -> Path:
    """Locked by whoever changes the directory."""
    return folder / FOLDER / ".directory.lock"


def open_appendable(path: Path) -> int:
    """A descriptor that reads, and writes at the end; makes the file if there is none."""
    make_folder(path.parent)
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    return os.open(path, flags, _FILE_MODE)


def replace(path: Path, data: bytes, *, is_synced: bool = True) -> None:
    """Write a file so that it is never seen half; synced, it survives a power cut."""
    make_folder(path.parent)
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, _FILE_MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            if is_synced:
                file.flush()
                os.fsync(file.fileno())
        new.rename(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    if is_synced:
        sync_folder(path.parent)

"""Let one process alone write a log, and find out when another one already does."""

import fcntl
import os
from pathlib import Path
from typing import Self, final

from ringfence.domain.error import UsageError
from ringfence.stores.database import damaged, make_folder

_FILE_MODE = 0o600
_CREATED = b"created\n"
FOLDER = "ledger"


def log_path(folder: Path, log_id: str) -> Path:
    """Where a log stands under the data folder."""
    return folder / FOLDER / f"{log_id}.db"


def log_ids(folder: Path) -> list[str]:
    """The logs under a data folder, oldest first."""
    return sorted(path.stem for path in (folder / FOLDER).glob("[!.]*.db"))


def require_logs(folder: Path) -> None:
    """Raise UsageError `store_damaged` if a log that was made is no longer there."""
    for lock in sorted((folder / FOLDER).glob("[!.]*.lock")):
        if lock.read_bytes() == _CREATED and not lock.with_suffix(".db").exists():
            raise _missing(lock.with_suffix(".db"))


def _missing(path: Path) -> UsageError:
    return damaged(path, "ledger", "it is missing, though it was written before")


@final
class Fence:
    """The right to write one log, held by a lock that dies with the process.

    INVARIANT: taken after fork, since a forked child would share the lock.
    """

    def __init__(self, folder: Path, log_id: str, descriptor: int) -> None:
        """Use `take`."""
        self.folder = folder
        self.log_id = log_id
        self._descriptor = descriptor
        self.path = log_path(folder, log_id)
        """The log's file."""

    @classmethod
    def take(cls, folder: Path, log_id: str) -> Self:
        """Lock a log of a data folder, making its place if there is none.

        Raises UsageError `log_in_use` if another process (or this one) writes it, `store_damaged`
        if the log was there before and is gone.
        """
        path = log_path(folder, log_id)
        make_folder(path.parent)
        lock = path.with_suffix(".lock")
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise UsageError(
                "log_in_use",
                f"log `{log_id}` in `{folder}` is being written by another process",
                help="stop the other plane that uses this data folder, or give --data another one",
            ) from None
        fence = cls(folder, log_id, descriptor)
        if os.pread(descriptor, len(_CREATED), 0) == _CREATED and not path.exists():
            fence.release()
            raise _missing(path)
        return fence

    def mark_created(self) -> None:
        """Remember that the file exists, so that its loss is noticed."""
        os.pwrite(self._descriptor, _CREATED, 0)

    def release(self) -> None:
        """Let others write; may be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

"""What runs are at work in which folders, noted in the data folder for those that come after.

A note is locked for as long as its run lives; the kernel lets go of the lock, whatever ends the
run. So a note that can be locked is of a run that is over, and tells what is left to be done.
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, final

import msgspec

from ringfence.domain.error import UnavailableError, UsageError
from ringfence.sandbox.plan import is_below
from ringfence.sandbox.workspace import mask
from ringfence.sandbox.workspace.folder import open_folder

try:
    import fcntl
except ImportError:  # Windows, where importing must not fail
    fcntl = None  # type: ignore[assignment] # absent there, and nothing here is called

_FOLDER: Final = "runs"
_GATE: Final = ".gate"
_GATE_S: Final = 10.0
"""How long others may take to begin or end; some milliseconds is what they need."""


class NotedFolder(msgspec.Struct, frozen=True, kw_only=True):
    """A folder that a run may change, and the masks that were made in it."""

    path: str
    device: int
    inode: int
    masks: tuple[str, ...] = ()


class RunNote(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `is_seen` tells that it was looked at what it has left."""

    sandbox: str
    folders: tuple[NotedFolder, ...]
    began_us: int
    is_seen: bool = False


@final
class RunNotes:
    """The notes of one data folder, as one run uses them: its own, and what others left."""

    def __init__(self, data: Path) -> None:
        """Nothing is noted yet."""
        self._folder = data / _FOLDER
        self._own = -1
        self._note: RunNote | None = None

    @contextmanager
    def gate(self) -> Iterator[None]:
        """Nobody else begins or ends meanwhile.

        Raises UsageError `data_folder_unusable`, UnavailableError `runs_busy`.
        """
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            gate = os.open(self._folder / _GATE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            what = f"no note can be left in `{self._folder}`: {error.strerror or error}"
            help_ = "make the plane's data folder writable for whoever runs it"
            raise UsageError("data_folder_unusable", what, help=help_) from error
        try:
            _enter(gate)
            yield
        finally:
            os.close(gate)

    def begin(self, note: RunNote) -> None:
        """Note a run, inside the gate: from now on it counts as alive. Raises OSError."""
        path = self._path(note)
        self._own = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._own, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _write(self._own, note)
        self._note = note

    def end(self, *, is_seen: bool) -> None:
        """The run is over: what it made is removed, or left to whoever ends last in its folders."""
        if self._note is None:
            return
        _write(self._own, msgspec.structs.replace(self._note, is_seen=is_seen))
        self._note = None
        with suppress(UsageError, UnavailableError), self.gate():  # else the next run does it
            os.close(self._own)
            self._own = -1
            self.sweep()
        if self._own >= 0:
            os.close(self._own)

    def sweep(self, folders: Sequence[str] = ()) -> list[RunNote]:
        """Remove the masks of runs that are over, inside the gate, where nobody is at work.

        Gives the runs in these folders that were ended before anybody had looked at what they had
        left; each is given once.
        """
        living, over = self._parted()
        found: list[RunNote] = []
        for note in over:
            is_told = note.is_seen or bool(_shared(note, folders))
            found += [note] if is_told and not note.is_seen else []
            if any(_share(note, other) for other in living):
                self._rewrite(msgspec.structs.replace(note, is_seen=is_told))
                continue
            is_there = [_remove(folder) for folder in note.folders]
            if not is_told and any(is_there):
                bare = [msgspec.structs.replace(each, masks=()) for each in note.folders]
                self._rewrite(msgspec.structs.replace(note, folders=tuple(bare)))
            else:
                self._path(note).unlink(missing_ok=True)
        return found

    def _parted(self) -> tuple[list[RunNote], list[RunNote]]:
        """The notes of runs that live, and of those that are over."""
        living: list[RunNote] = []
        over: list[RunNote] = []
        for path in sorted(self._folder.glob("*.json")):
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                continue
            is_free = _is_free(descriptor)
            try:
                (over if is_free else living).append(_read(path))
            except msgspec.MsgspecError:  # the machine went down while it was written
                if is_free:
                    path.unlink(missing_ok=True)
            finally:
                os.close(descriptor)
        return living, over

    def _rewrite(self, note: RunNote) -> None:
        """Of a run that is over, whose note nobody holds; whole, whenever this one is killed."""
        path = self._path(note)
        beside = path.with_suffix(".part")
        beside.write_bytes(msgspec.json.encode(note))
        beside.replace(path)

    def _path(self, note: RunNote) -> Path:
        return self._folder / f"{note.sandbox}.json"


def _enter(gate: int) -> None:
    ends_s = time.monotonic() + _GATE_S
    while True:
        try:
            fcntl.flock(gate, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > ends_s:
                what = "another run has been beginning or ending for too long"
                help_ = "see whether a `ringfence run` is stopped, and end it"
                raise UnavailableError("runs_busy", what, help=help_) from error
            time.sleep(_GATE_S / 500)
        else:
            return


def _is_free(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _read(path: Path) -> RunNote:
    return msgspec.json.decode(path.read_bytes(), type=RunNote)


def _write(descriptor: int, note: RunNote) -> None:
    """In one call and never shorter, so that whoever reads it meanwhile reads a whole one."""
    content = msgspec.json.encode(note)
    os.pwrite(descriptor, content.ljust(os.fstat(descriptor).st_size), 0)


def _share(one: RunNote, other: RunNote) -> bool:
    return bool(_shared(one, [each.path for each in other.folders]))


def _shared(note: RunNote, folders: Sequence[str]) -> list[str]:
    """Its folders that are one of these, or lie in one, or around it."""
    own = [each.path for each in note.folders]
    return [a for a in own if any(is_below(a, b) or is_below(b, a) for b in folders)]


def _remove(folder: NotedFolder) -> bool:
    """Remove masks from the very folder that they were made in; whether it is still there."""
    try:
        root = open_folder(folder.path)
    except OSError:
        return False
    try:
        found = os.fstat(root)
        is_same = (found.st_dev, found.st_ino) == (folder.device, folder.inode)
        if is_same:
            mask.remove(root, folder.masks)
    finally:
        os.close(root)
    return is_same

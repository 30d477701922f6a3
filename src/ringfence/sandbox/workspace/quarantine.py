"""Set files aside that would run later: renamed beside, disarmed, and what was there put back."""

import errno
import hashlib
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from ringfence.sandbox.workspace.folder import reached, set_mode
from ringfence.sandbox.workspace.late_code import Before, Kept, LateCode
from ringfence.sandbox.workspace.tree import shown
from ringfence.transport import entropy

_NAME_BYTES: Final = 255
"""NAME_MAX of the file systems of Linux."""
_ATTEMPTS: Final = 8
_NO_ROOM: Final = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
_QUIET: Final = 0o600
_PLAIN: Final = 0o777
"""What is put back is ours, whoever's it was: with its set-id bits it would lend our rights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """What became of such a file; `moved_to` is empty if it could not be moved.

    `is_restored` tells that what was there before is in its place again, `is_removed` that it is no
    more: a full file system may have no room for another name, and is filled in no time.
    """

    path: str
    why: str
    moved_to: str
    is_restored: bool
    is_removed: bool = False


def set_aside(root: int, found: Iterable[LateCode], before: Before, mark: str) -> list[SetAside]:
    """Rename each to a name that nothing runs, and put back what was there before.

    `mark` is in the new names.
    """
    ending = os.fsencode(f".quarantined-{mark}")
    return [_set_aside(root, each, before.kept.get(each.path), ending) for each in found]


def _set_aside(root: int, late: LateCode, kept: Kept | None, ending: bytes) -> SetAside:
    folder, slash, name = late.path.rpartition(b"/")
    moved, is_restored, is_removed = b"", False, False
    with suppress(OSError), reached(root, folder) as at:
        try:
            moved = _rename(at, name, ending)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                set_mode(at, name, 0)
                raise  # it keeps its name: nothing is put back over it
            is_restored = kept is not None and _is_rewritten(at, name, kept)
            if not is_restored:
                _remove(at, name)
            is_removed = True
        else:
            with suppress(OSError):
                set_mode(at, moved, _QUIET)
        if kept is not None and not is_restored:
            _restore(at, name, kept)
            is_restored = True
    return SetAside(
        path=shown(late.path),
        why=late.why,
        moved_to=shown(folder + slash + moved) if moved else "",
        is_restored=is_restored,
        is_removed=is_removed,
    )


def _remove(folder: int, name: bytes) -> None:
    """What has to keep its name is no more; of a folder, nothing can be reached. Raises OSError."""
    try:
        os.unlink(name, dir_fd=folder)
    except IsADirectoryError:
        set_mode(folder, name, 0)
        raise


def _is_rewritten(folder: int, name: bytes, kept: Kept) -> bool:
    """Whether a file says again what it said, in the room that it has; no other name's file."""
    if kept.is_link:
        return False
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        opened = os.open(name, flags, dir_fd=folder)
        with open(opened, "wb") as file:  # noqa: PTH123 (an open descriptor has no path)
            found = os.fstat(opened)
            if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
                return False
            os.ftruncate(opened, 0)
            file.write(kept.content)
            file.flush()
            os.fchmod(opened, kept.mode & _PLAIN)
    except OSError:
        return False
    return True


def _rename(folder: int, name: bytes, ending: bytes) -> bytes:
    """Its new name, which nothing else has: an agent knows the usual one. Raises OSError."""
    given = ending
    for _ in range(_ATTEMPTS):
        new = _fitting(name, given)
        try:
            os.lstat(new, dir_fd=folder)
        except FileNotFoundError:
            os.rename(name, new, src_dir_fd=folder, dst_dir_fd=folder)
            return new
        given = ending + b"-" + entropy.random_bytes(4).hex().encode()
    raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))


def _fitting(name: bytes, ending: bytes) -> bytes:
    """A long name keeps its beginning, and is told from others by its hash."""
    if len(name) + len(ending) <= _NAME_BYTES:
        return name + ending
    told = b"-" + hashlib.sha256(name).hexdigest()[:12].encode()
    return name[: _NAME_BYTES - len(told) - len(ending)] + told + ending


def _restore(folder: int, name: bytes, kept: Kept) -> None:
    if kept.is_link:
        os.symlink(kept.content, name, dir_fd=folder)
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    mode = kept.mode & _PLAIN
    opened = os.open(name, flags, mode, dir_fd=folder)
    try:
        with open(opened, "wb") as file:  # noqa: PTH123 (an open descriptor has no path)
            file.write(kept.content)
            os.fchmod(opened, mode)
    except OSError:
        os.unlink(name, dir_fd=folder)  # half of a program is another program
        raise

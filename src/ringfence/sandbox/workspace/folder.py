"""Open what lies below a folder: no link is followed, and no mode that an agent gives hides it.

An agent owns what it makes, and may take away its owner's rights to it. We are that owner: what is
locked is unlocked while it is looked at, and then as it was.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Final

from ringfence.transport.kernel import mount

_HERE_ALONE: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
FOLDER: Final = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | _HERE_ALONE
FILE: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _HERE_ALONE
"""How both are opened, where links cannot lead away; Windows, which has no sandbox, lacks them."""
_PLACE: Final = getattr(os, "O_PATH", 0) | getattr(os, "O_DIRECTORY", 0) | _HERE_ALONE


def open_folder(path: str) -> int:
    """Open a folder for reading, no part of whose path is a link. Raises OSError."""
    place = mount.open_plain(path)
    try:
        return os.open(".", FOLDER, dir_fd=place)
    finally:
        os.close(place)


@contextmanager
def reached(root: int, path: bytes) -> Iterator[int]:
    """A folder below an open one, itself if the path is empty, for as long as it is used.

    Raises OSError: also where it is somebody else's and locked.
    """
    with ExitStack() as after:
        at = os.dup(root)
        after.callback(os.close, at)
        _unlock(at, after)
        for name in path.split(b"/") if path else ():
            at = _step(at, name, after)
        yield at


@contextmanager
def opened(root: int, path: bytes) -> Iterator[int]:
    """A file below an open folder. Raises OSError; a pipe or device is opened without waiting."""
    folder, _, name = path.rpartition(b"/")
    with reached(root, folder) as at:
        descriptor = _open_file(at, name)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def set_mode(folder: int, name: bytes, mode: int) -> None:
    """Give what stands there another mode, whatever its own is; a link is none. Raises OSError."""
    flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
    place = os.open(name, flags, dir_fd=folder)
    try:
        if not stat.S_ISLNK(os.fstat(place).st_mode):
            _change(place, mode)
    finally:
        os.close(place)


def _open_file(folder: int, name: bytes) -> int:
    """A file of ours that its mode keeps us from reading is readable for the moment of opening."""
    try:
        return os.open(name, FILE, dir_fd=folder)
    except PermissionError:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            raise
        mode = stat.S_IMODE(found.st_mode)
        set_mode(folder, name, mode | stat.S_IRUSR)
        try:
            return os.open(name, FILE, dir_fd=folder)
        finally:
            set_mode(folder, name, mode)


def _step(at: int, name: bytes, after: ExitStack) -> int:
    try:
        inner = os.open(name, FOLDER, dir_fd=at)
    except PermissionError:
        place = os.open(name, _PLACE, dir_fd=at)
        after.callback(os.close, place)
        _unlock(place, after)
        inner = os.open(b".", FOLDER, dir_fd=place)
    after.callback(os.close, inner)
    _unlock(inner, after)
    return inner


def _unlock(folder: int, after: ExitStack) -> None:
    """Let its owner list it, go through it and rename in it; its mode comes back at the end."""
    found = os.fstat(folder)
    mode = stat.S_IMODE(found.st_mode)
    is_locked = mode & stat.S_IRWXU != stat.S_IRWXU
    if is_locked and found.st_uid == os.geteuid() != 0:
        _change(folder, mode | stat.S_IRWXU)
        after.callback(_put_back, folder, mode)


def _put_back(folder: int, mode: int) -> None:
    with suppress(OSError):
        _change(folder, mode)


def _change(place: int, mode: int) -> None:
    """Also of what is only held by its place (O_PATH), where fchmod(2) is refused."""
    os.chmod(f"/proc/self/fd/{place}", mode)  # noqa: PTH101 (the descriptor is what is meant)

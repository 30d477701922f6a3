"""Mount by descriptor, so that no path is looked up twice and no symbolic link is followed.

openat2(2), open_tree(2), move_mount(2), mount_setattr(2): Linux 5.12 has them all.
"""

import ctypes
import os
import struct
from typing import Final

from ringfence.transport.kernel.syscall import call, library

_AT_CWD: Final = -100
_EMPTY_PATH, _RECURSIVE = 0x1000, 0x8000
_NO_MAGIC_LINKS, _NO_SYMLINKS, _BENEATH, _IN_ROOT = 0x02, 0x04, 0x08, 0x10
_HOW = struct.Struct("=QQQ")
_CLONE: Final = 1
_FROM_EMPTY, _TO_EMPTY = 0x04, 0x40
_ATTRIBUTES = struct.Struct("=QQQQ")
_PRIVATE, _MOVE_RECURSIVE = 1 << 18, 0x4000

READ_ONLY: Final = 0x01
NO_SETUID: Final = 0x02
NO_DEVICES: Final = 0x04


def open_plain(path: str, *, within: int = _AT_CWD) -> int:
    """Open a path of which no part is a symbolic link; relative to `within`, it stays below it.

    Raises OSError: ELOOP for a link, EXDEV for a way out.
    """
    resolve = _NO_SYMLINKS | _NO_MAGIC_LINKS | (_BENEATH if within != _AT_CWD else 0)
    return _open(path, within, resolve)


def open_in_root(root: int, path: str) -> int:
    """Open a path as a process whose root directory is `root` would. Raises OSError."""
    return _open(path, root, _IN_ROOT | _NO_MAGIC_LINKS)


def open_from(start: int, path: str, *, is_followed: bool) -> int:
    """Open a path from a folder that is open, following all links but those of /proc."""
    return _open(path, start, _NO_MAGIC_LINKS, 0 if is_followed else os.O_NOFOLLOW)


def _open(path: str, within: int, resolve: int, flags: int = 0) -> int:
    how = _HOW.pack(os.O_PATH | os.O_CLOEXEC | flags, 0, resolve)
    try:
        return call("openat2", within, os.fsencode(path), how, len(how))
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error


def clone(descriptor: int) -> int:
    """A mount of its own of what is open, with all that is mounted below; attached nowhere yet."""
    flags = _CLONE | os.O_CLOEXEC | _EMPTY_PATH | _RECURSIVE
    return call("open_tree", descriptor, b"", flags)


def attach(tree: int, target: int) -> None:
    """Put a mount that is attached nowhere over the place that is open. Raises OSError."""
    call("move_mount", tree, b"", target, b"", _FROM_EMPTY | _TO_EMPTY)


def restrict(tree: int, attributes: int) -> None:
    """Add attributes to a mount and all below it."""
    packed = _ATTRIBUTES.pack(attributes, 0, 0, 0)
    call("mount_setattr", tree, b"", _EMPTY_PATH | _RECURSIVE, packed, len(packed))


def keep_to_ourselves() -> None:
    """Let nothing that is mounted in this namespace be seen in another."""
    _mount(None, b"/", None, _PRIVATE | _MOVE_RECURSIVE, None)


def mount_temporary(path: str, options: str) -> None:
    """Mount an empty file system in memory."""
    _mount(b"tmpfs", os.fsencode(path), b"tmpfs", NO_SETUID | NO_DEVICES, options.encode())


def _mount(
    source: bytes | None, target: bytes, kind: bytes | None, flags: int, data: bytes | None
) -> None:
    if library().mount(source, target, kind, ctypes.c_ulong(flags), data) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), "mount")

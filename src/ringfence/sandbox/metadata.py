"""Modes and times of files, changed in the agent's place where Landlock does not restrict it.

The reduced tier sees the host's files, and by its path any file of the same user could be changed
so. The monitor opens what is meant, looks where it lies, and changes that very file.
"""

import errno
import os
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from ringfence.sandbox.plan import is_below
from ringfence.transport.kernel import mount
from ringfence.transport.kernel.memory import Memory
from ringfence.transport.kernel.syscall import call

CALLS: Final = (
    "chmod", "fchmod", "fchmodat", "fchmodat2", "utime", "utimes", "futimesat", "utimensat",
)  # fmt: skip
_PATH_BYTES: Final = 4096
_HERE: Final = 0xFFFFFF9C  # AT_FDCWD as the kernel reads it: an int
_INT: Final = 0xFFFFFFFF
_NO_FOLLOW, _EMPTY_PATH = 0x100, 0x1000
_MICROSECONDS: Final = range(1_000_000)
_MODE: Final = 0o1777
"""Never a set-id bit: the filter refuses those before we are asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is wanted of which file.

    The file is `path` from the descriptor `at` (None: the working directory), or without a path the
    descriptor itself. `times` are two `struct timespec`; `is_now` sets both to the present.
    """

    at: int | None
    path: bytes | None
    is_followed: bool = True
    mode: int | None = None
    times: bytes = b""

    @property
    def is_now(self) -> bool:
        """No mode and no times: the present time."""
        return self.mode is None and not self.times


def read(name: str, arguments: tuple[int, ...], memory: Memory) -> Change:
    """What a call asks for. Raises OSError if its pointers lead nowhere, ValueError for no time."""
    if name == "fchmod":
        return Change(at=arguments[0] & _INT, path=None, mode=arguments[1] & _MODE)
    is_at = name in {"fchmodat", "fchmodat2", "futimesat", "utimensat"}
    place, pointer, value, flags, *_ = arguments if is_at else (_HERE, *arguments)
    path = memory.text(pointer, _PATH_BYTES) if pointer else None
    has_flags = name in {"fchmodat2", "utimensat"}
    if path == b"" and has_flags and flags & _EMPTY_PATH:
        path = None
    is_mode = name in {"chmod", "fchmodat", "fchmodat2"}
    return Change(
        at=None if place & _INT == _HERE else place & _INT,
        path=path,
        is_followed=not (has_flags and flags & _NO_FOLLOW),
        mode=value & _MODE if is_mode else None,
        times=b"" if is_mode or not value else _times(name, memory.read(value, _SIZES[name])),
    )


_SIZES: Final = {"utime": 16, "utimes": 32, "futimesat": 32, "utimensat": 32}


def _times(name: str, raw: bytes) -> bytes:
    """Seconds, microseconds or nanoseconds, as two `struct timespec`."""
    if name == "utimensat":
        return raw
    numbers = [
        int.from_bytes(raw[at : at + 8], "little", signed=True) for at in range(0, len(raw), 8)
    ]
    if name == "utime":
        numbers = [numbers[0], 0, numbers[1], 0]
    elif numbers[1] in _MICROSECONDS and numbers[3] in _MICROSECONDS:
        numbers[1], numbers[3] = numbers[1] * 1000, numbers[3] * 1000
    else:
        raise ValueError("a time has more microseconds than a second")
    return b"".join(each.to_bytes(8, "little", signed=True) for each in numbers)


def carry_out(pid: int, change: Change, trees: Collection[str]) -> int:
    """Change it if it lies in one of the trees and belongs to us; the errno, 0 for success."""
    try:
        found = _open(pid, change)
    except OSError as error:
        return error.errno or errno.EPERM
    try:
        where = os.readlink(f"/proc/self/fd/{found}")  # noqa: PTH115 (of a descriptor)
        is_ours = os.fstat(found).st_uid == os.geteuid()
        if not is_ours or not any(is_below(where, tree) for tree in trees):
            return errno.EPERM
        _apply(found, change)
    except OSError as error:
        return error.errno or errno.EPERM
    finally:
        os.close(found)
    return 0


def _open(pid: int, change: Change) -> int:
    """The file itself, and not what may come to be at its path."""
    base = f"/proc/{pid}/cwd" if change.at is None else f"/proc/{pid}/fd/{change.at}"
    start = os.open(base, os.O_PATH | os.O_CLOEXEC)
    if change.path is None:
        return start
    try:
        return mount.open_from(start, os.fsdecode(change.path), is_followed=change.is_followed)
    finally:
        os.close(start)


def _apply(found: int, change: Change) -> None:
    if change.mode is not None:
        os.chmod(f"/proc/self/fd/{found}", change.mode)  # noqa: PTH101 (of a descriptor)
    else:
        call("utimensat", found, b"", change.times or None, _EMPTY_PATH)

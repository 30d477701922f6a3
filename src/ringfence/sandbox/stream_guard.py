"""Standard streams that are files of the host: opened anew, so that they are no way to the file.

Whoever holds a descriptor can open its file again by `/proc/self/fd`, for more than it was given
for, and change its mode; a folder's leads to all around it. What is opened on a read-only mount of
its own allows neither. Devices can be written to there all the same.
"""

import errno
import os
import stat
from typing import Final

from ringfence.transport.kernel import mount

try:
    import fcntl
except ImportError:  # Windows, where importing must not fail
    fcntl = None  # type: ignore[assignment] # absent there, and nothing here is called

_STREAMS: Final = (0, 1, 2)
_ACCESS: Final = 3  # O_ACCMODE
_KEPT: Final = getattr(os, "O_APPEND", 0) | getattr(os, "O_NONBLOCK", 0)


def guard() -> None:
    """In a mount namespace of our own, before anything is mounted over what they lie in.

    What has no path any more stays as it is: nobody else uses it. So do pipes, sockets, and files
    that are given to be written. Raises OSError for a folder that cannot be opened anew.
    """
    mount.keep_to_ourselves()
    for number in _STREAMS:
        flags = fcntl.fcntl(number, fcntl.F_GETFL)
        mode = os.fstat(number).st_mode
        if stat.S_ISDIR(mode):
            _replace(number, flags)
        elif stat.S_ISCHR(mode) or (stat.S_ISREG(mode) and flags & _ACCESS == os.O_RDONLY):
            try:
                _replace(number, flags)
            except OSError:
                continue


def _replace(number: int, flags: int) -> None:
    path = os.readlink(f"/proc/self/fd/{number}")  # noqa: PTH115 (the forked child keeps to plain calls)
    place = mount.open_plain(path)
    tree = anew = -1
    try:
        if not os.path.samestat(os.fstat(place), os.fstat(number)):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), path)
        tree = mount.clone(place)
        mount.restrict(tree, mount.READ_ONLY | mount.NO_SETUID)
        again = flags & (_ACCESS | _KEPT) | os.O_NOCTTY
        anew = os.open(f"/proc/self/fd/{tree}", again)
        if stat.S_ISREG(os.fstat(anew).st_mode):
            os.lseek(anew, os.lseek(number, 0, os.SEEK_CUR), os.SEEK_SET)
        os.dup2(anew, number)
    finally:
        for each in (place, tree, anew):
            if each >= 0:
                os.close(each)

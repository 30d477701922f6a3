"""Says to a process why its exec is refused, where it would say so itself: on its standard error.

Whoever reads that (a model, by way of its shell) can act on it; "permission denied" alone says too
little. It is written as the process itself would, and never waits for anybody who does not read.
"""

import contextlib
import os
import select
import stat
from typing import Final

from ringfence.transport.kernel import process

_STANDARD_ERROR: Final = 2
_BYTES_MOST: Final = 2_000
"""Less than PIPE_BUF, so that it is not mixed with what others write."""
_NOWAIT: Final = getattr(os, "RWF_NOWAIT", 0)
_NOT_OURS: Final = getattr(os, "O_NOCTTY", 0) | getattr(os, "O_CLOEXEC", 0)
_WHOEVER_OPENS: Final = 5
"""The major number of devices that are another for each who opens them: `/dev/tty`, `/dev/ptmx`."""


def tell(pid: int, message: str) -> bool:
    """Write a line there, if that can be done at once; whether it was."""
    with contextlib.suppress(OSError):
        taken = process.get_descriptor(pid, _STANDARD_ERROR)
        try:
            return _write(taken, f"{message}\n".encode()[:_BYTES_MOST])
        finally:
            os.close(taken)
    return False


def _write(descriptor: int, line: bytes) -> bool:
    kind = os.fstat(descriptor).st_mode
    if stat.S_ISFIFO(kind) and _NOWAIT:
        return os.pwritev(descriptor, [line], -1, _NOWAIT) == len(line)
    if stat.S_ISREG(kind):
        return os.write(descriptor, line) == len(line)
    if stat.S_ISCHR(kind) and os.isatty(descriptor):
        return _print(descriptor, line)
    return False


def _print(descriptor: int, line: bytes) -> bool:
    """To a terminal, which may say that it has room and have none for a whole line.

    One of our own user's is opened anew, so that we need not wait: its other side may be the
    agent's. The process's own descriptor must go on to wait as it did before.
    """
    found = os.fstat(descriptor)
    if os.major(found.st_rdev) == _WHOEVER_OPENS:
        return False
    if found.st_uid != os.geteuid():
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        return bool(poll.poll(0)) and os.write(descriptor, line) == len(line)
    anew = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | _NOT_OURS)
    try:
        return os.write(anew, line) == len(line)
    finally:
        os.close(anew)

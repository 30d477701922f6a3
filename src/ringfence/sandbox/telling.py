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
        # A terminal takes a short line at once, unless its reader has stopped it.
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        return bool(poll.poll(0)) and os.write(descriptor, line) == len(line)
    return False

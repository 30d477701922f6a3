"""Keeps the memory of a process that holds secrets out of core dumps and of its neighbours' reach.

Sources: setrlimit(2) (`RLIMIT_CORE`), PR_SET_DUMPABLE(2const), ptrace(2) on access checks.
"""

import ctypes
import sys
from typing import Final

_SET_DUMPABLE: Final = 4
"""`PR_SET_DUMPABLE`, from linux/prctl.h."""


def forbid_core_dumps() -> bool:
    """Leave no core file, also through a handler of the system's; whether all of it could be done.

    On Linux other processes of the same user, but root's, can neither trace this one nor read its
    memory and environment under /proc any more. A process that it starts is as any other.
    """
    if sys.platform == "win32":
        return False
    import resource  # noqa: PLC0415 (not there on Windows)

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not sys.platform.startswith("linux"):
        return False
    # A limit of 0 does not stop a handler that core_pattern pipes to; this does.
    libc = ctypes.CDLL(None, use_errno=True)
    done: int = libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0)
    return done == 0

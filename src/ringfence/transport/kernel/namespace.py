"""Leave the namespaces of the machine for some of our own (namespaces(7), user_namespaces(7))."""

import contextlib
import ctypes
import os
import signal
import sys
from typing import Final

from ringfence.transport.kernel import setting
from ringfence.transport.kernel.syscall import call, library

USER: Final = 0x10000000
NETWORK: Final = 0x40000000
MOUNT: Final = 0x00020000
ALL: Final = 0x7E020080
"""Every namespace that there is: cgroup, IPC, mount, network, pid, time, user and UTS."""

_SET_DEATH_SIGNAL, _SET_DUMPABLE, _SET_SUBREAPER = 1, 4, 36
_DROP_BOUNDING, _SET_SECURE_BITS, _SET_AMBIENT = 24, 28, 47
_AMBIENT_CLEAR_ALL: Final = 4
_ROOT_IS_NOBODY: Final = 0b1111
"""SECBIT_NOROOT and SECBIT_NO_SETUID_FIXUP, both locked (capabilities(7))."""
_CAPABILITY_VERSION: Final = 0x20080522


def unshare(flags: int) -> None:
    """Leave namespaces. Raises OSError: EPERM or ENOSPC where the machine forbids it."""
    call("unshare", flags)


def map_ids(*, uid: int, gid: int, outer_uid: int, outer_gid: int) -> None:
    """In a new user namespace, be `uid` and `gid`, the only ones there. Raises OSError.

    A process that hides its memory does not own its files in /proc: it shows it again.
    """
    show_memory()
    setting.write("/proc/self/setgroups", "deny")
    setting.write("/proc/self/uid_map", f"{uid} {outer_uid} 1")
    setting.write("/proc/self/gid_map", f"{gid} {outer_gid} 1")


def die_with(parent: int) -> None:
    """Be killed when `parent`, which must be this process's parent, has gone (prctl(2)).

    A change of identity forgets it: call this after `unshare`. Linux only; nothing elsewhere.
    """
    if sys.platform != "linux":
        return
    control(_SET_DEATH_SIGNAL, int(signal.SIGKILL))
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def adopt_orphans(*, is_on: bool) -> None:
    """Whether processes below this one whose parent ends become its children.

    Linux only; nothing elsewhere.
    """
    if sys.platform == "linux":
        control(_SET_SUBREAPER, int(is_on))


def hide_memory() -> None:
    """Keep other processes of the same user from this one's memory, and write no core file."""
    control(_SET_DUMPABLE, 0)


def show_memory() -> None:
    """Undo `hide_memory`, also what a change of identity did: a monitor has to look."""
    if sys.platform == "linux":
        control(_SET_DUMPABLE, 1)


def control(option: int, value: int, *more: int) -> int:
    """Call prctl(2). Raises OSError."""
    given = [ctypes.c_ulong(each) for each in (value, *more, 0, 0, 0)][:4]
    result = int(library().prctl(ctypes.c_int(option), *given))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), "prctl")
    return result


def drop_capabilities() -> None:
    """Give up every capability for good, also those that starting a program would give root."""
    for capability in range(64):
        try:
            control(_DROP_BOUNDING, capability)
        except OSError:
            break  # beyond the last one, or without the right to: then there is nothing to give up
    with contextlib.suppress(OSError):  # without the right to: then nothing is given to lose
        control(_SET_SECURE_BITS, _ROOT_IS_NOBODY)
    control(_SET_AMBIENT, _AMBIENT_CLEAR_ALL)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    call("capset", header, (ctypes.c_uint32 * 6)())

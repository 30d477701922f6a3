"""What another process is, as the kernel tells it: pidfds, its parent, how it ended.

pidfd_open(2), proc(5), linux/pidfd.h.
"""

import os
import socket
import struct
from typing import Final, NamedTuple

from ringfence.transport.kernel.syscall import call

try:
    import fcntl
except ImportError:  # Windows, where importing must not fail
    fcntl = None  # type: ignore[assignment] # absent there, and nothing here is called

_GET_INFO: Final = 0xC040FF0B  # PIDFD_GET_INFO with the first size of its struct, Linux 6.13
_INFO = struct.Struct("=QQ11Ii")
_WITH_IDS: Final = 1 << 0  # PIDFD_INFO_PID
_WITH_EXIT: Final = 1 << 3  # PIDFD_INFO_EXIT, Linux 6.15
_ASKED: Final = _INFO.pack(_WITH_IDS, 0, *(0,) * 12)
_STATUS_BYTES: Final = 512
"""The lines that are read stand before the first things of unbounded length, but for the name."""


class Identity(NamedTuple):
    """Which process a thread belongs to, and which one started it."""

    pid: int
    parent: int


def identity(thread: int) -> Identity:
    """Raises OSError if it has gone."""
    try:
        pidfd = os.pidfd_open(thread)
    except OSError:
        return read_identity(thread)
    try:
        return told_identity(pidfd) or read_identity(thread)
    finally:
        os.close(pidfd)


def told_identity(pidfd: int) -> Identity | None:
    """What the kernel tells of an open process; None of one that has gone, and before 6.13."""
    asked = bytearray(_ASKED)
    try:
        fcntl.ioctl(pidfd, _GET_INFO, asked)
    except OSError:
        return None
    mask, _, _, pid, parent, *_ = _INFO.unpack(asked)
    return Identity(pid, parent) if mask & _WITH_IDS and pid else None


def read_identity(thread: int) -> Identity:
    """What /proc tells of any thread: four times as slow. Raises OSError if it has gone."""
    descriptor = os.open(f"/proc/{thread}/status", os.O_RDONLY | os.O_CLOEXEC)
    try:
        status = os.read(descriptor, _STATUS_BYTES)
    finally:
        os.close(descriptor)
    return Identity(_field(status, b"\nTgid:"), _field(status, b"\nPPid:"))


def _field(status: bytes, name: bytes) -> int:
    at = status.index(name) + len(name)
    return int(status[at : status.index(b"\n", at)])


def get_descriptor(pid: int, number: int) -> int:
    """A descriptor of another process as one of ours. Raises OSError."""
    process = os.pidfd_open(pid)
    try:
        return call("pidfd_getfd", process, number, 0)
    finally:
        os.close(process)


def get_socket(pid: int, number: int) -> socket.socket:
    """A socket of another process as one of ours. Raises OSError, also for what is no socket."""
    taken = get_descriptor(pid, number)
    try:
        return socket.socket(fileno=taken)
    except OSError:
        os.close(taken)  # else whoever names a file again and again leaves us none to open
        raise


def exit_status(pidfd: int) -> int | None:
    """How a process that was waited for has ended, as wait(2) tells it; None if not yet.

    Raises OSError on kernels that do not tell (before Linux 6.15).
    """
    asked = bytearray(_INFO.pack(_WITH_EXIT, 0, *(0,) * 12))
    try:
        fcntl.ioctl(pidfd, _GET_INFO, asked)
    except ProcessLookupError:
        # Just being reaped: neither a process nor a status for a moment (seen under load).
        fcntl.ioctl(pidfd, _GET_INFO, asked)
    mask, *_, status = _INFO.unpack(asked)
    return int(status) if mask & _WITH_EXIT else None

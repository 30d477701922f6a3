"""Hand open descriptors from process to process, and close those that were inherited."""

import array
import os
import socket
from collections.abc import Collection, Sequence
from typing import Final

from ringfence.domain.error import PeerError

DESCRIPTORS_MOST: Final = 64
"""In one message; the kernel's bound is 253 (SCM_MAX_FD)."""


def send_fds(channel: socket.socket, payload: bytes, descriptors: Sequence[int]) -> None:
    """Send a payload, not empty, with descriptors beside it (unix(7), SCM_RIGHTS)."""
    rights = array.array("i", descriptors)
    beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if descriptors else []
    sent = channel.sendmsg([payload], beside)
    if sent < len(payload):
        channel.sendall(payload[sent:])


def receive_fds(channel: socket.socket, most_bytes: int) -> tuple[bytes, list[int]]:
    """What one message held, and its descriptors, which no program started from here inherits.

    Empty bytes at the end of the channel. Raises PeerError `descriptors_cut` if some were lost.
    """
    room = socket.CMSG_SPACE(DESCRIPTORS_MOST * array.array("i").itemsize)
    cloexec = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
    payload, beside, flags, _ = channel.recvmsg(most_bytes, room, cloexec)
    found = array.array("i")
    for level, kind, data in beside:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    if flags & socket.MSG_CTRUNC:
        for each in found:
            os.close(each)
        raise PeerError("descriptors_cut", "more descriptors were sent than are taken at once")
    return payload, list(found)


def close_all_but(kept: Collection[int]) -> None:
    """Close every descriptor that is not named: what was inherited must not reach a program."""
    before = -1
    for each in sorted(kept):
        if each > before + 1:
            os.closerange(before + 1, each)
        before = each
    os.closerange(before + 1, _highest())


def _highest() -> int:
    """One more than the highest descriptor that is open."""
    try:
        return 1 + max(map(int, os.listdir("/proc/self/fd")))  # noqa: PTH208 (between fork and exec)
    except (OSError, ValueError):
        return int(os.sysconf("SC_OPEN_MAX"))

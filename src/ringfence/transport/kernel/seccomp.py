"""Install filters over system calls, and answer the calls that a filter hands to us.

linux/seccomp.h. A notified call waits in the kernel until it is answered; if the descriptor is
closed, it fails with ENOSYS. Letting a call go on (`let`) is no security boundary of its own: what
its pointers refer to may change after it was read (seccomp_unotify(2), "Caveats").
"""

import ctypes
import errno
import os
import struct
from dataclasses import dataclass
from typing import Final, final

from ringfence.transport.kernel.syscall import call, library

try:
    import fcntl
except ImportError:  # Windows, where importing must not fail
    fcntl = None  # type: ignore[assignment] # absent there, and nothing here is called

_PR_SET_NO_NEW_PRIVS: Final = 38
_SET_MODE_FILTER: Final = 1
_NEW_LISTENER, _WAIT_KILLABLE_RECV = 1 << 3, 1 << 5
_RECEIVE, _SEND, _IS_VALID, _SET_FLAGS = 0xC0502100, 0xC0182101, 0x40082102, 0x40082104
_CONTINUE: Final = 1
_SYNC_WAKE_UP: Final = 1  # SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP, Linux 6.6
_NOTICE = struct.Struct("=QIIiIQ6Q")
_ANSWER = struct.Struct("=QqiI")
_ID = struct.Struct("=Q")


class _Program(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


@dataclass(frozen=True, slots=True)
class Notice:
    """A call that waits. `pid` is the thread's id; `arguments` are the six registers, unsigned."""

    id: int
    pid: int
    number: int
    arguments: tuple[int, ...]


def no_new_privileges() -> None:
    """From here on no program that is started gains rights: what filters demand (prctl(2))."""
    if library().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), "prctl")


def install(program: bytes) -> None:
    """Put this process under a filter for good. Raises OSError."""
    _install(program, 0)


def install_notifying(program: bytes) -> int:
    """Put this process under a filter for good; the descriptor on which its calls are answered.

    Raises OSError: EBUSY if this process already is under another's notifying filter.
    """
    try:
        return _install(program, _NEW_LISTENER | _WAIT_KILLABLE_RECV)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    return _install(program, _NEW_LISTENER)  # before Linux 5.19


def _install(program: bytes, flags: int) -> int:
    held = ctypes.create_string_buffer(program, len(program))
    length = len(program) // struct.calcsize("=HBBI")
    described = _Program(length, ctypes.cast(held, ctypes.c_void_p))
    pointer = ctypes.cast(ctypes.pointer(described), ctypes.c_void_p).value
    return call("seccomp", _SET_MODE_FILTER, flags, pointer or 0)


@final
class NotifyDescriptor:
    """The descriptor of a notifying filter."""

    def __init__(self, descriptor: int) -> None:
        """Owns the descriptor; wakes the caller on its own processor where the kernel can."""
        self._descriptor = descriptor
        try:
            fcntl.ioctl(descriptor, _SET_FLAGS, _SYNC_WAKE_UP)
        except OSError:
            return  # slower, and no less right

    def fileno(self) -> int:
        """Readable while a call waits; hung up when no process is left under the filter."""
        return self._descriptor

    def receive(self) -> Notice | None:
        """The next call that waits; None if whoever made it has died meanwhile.

        Waits if none does: poll first.
        """
        buffer = bytearray(_NOTICE.size)
        try:
            fcntl.ioctl(self._descriptor, _RECEIVE, buffer)
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.EINTR}:
                return None
            raise
        id_, pid, _flags, number, _architecture, _at, *arguments = _NOTICE.unpack(buffer)
        return Notice(id_, pid, number, tuple(arguments))

    def is_waiting(self, id_: int) -> bool:
        """Whether this very call still waits, so that what was read by its pid is its own."""
        try:
            fcntl.ioctl(self._descriptor, _IS_VALID, _ID.pack(id_))
        except OSError:
            return False
        return True

    def let(self, id_: int) -> None:
        """Let the kernel carry the call out; nothing if its maker has died."""
        self._send(_ANSWER.pack(id_, 0, 0, _CONTINUE))

    def answer(self, id_: int, *, error: int = 0, value: int = 0) -> None:
        """Answer in the kernel's place: an errno, or a value."""
        self._send(_ANSWER.pack(id_, value, -error, 0))

    def _send(self, answer: bytes) -> None:
        try:
            fcntl.ioctl(self._descriptor, _SEND, bytearray(answer))
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise

    def close(self) -> None:
        """Every call that waits or comes fails with ENOSYS."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

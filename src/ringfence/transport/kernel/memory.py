"""Read what another process's pointers refer to, and what it looks like from outside.

process_vm_readv(2) and proc(5). The reader must be an ancestor where Yama restricts (`ptrace_scope`
1); a process may change what was read, so it is evidence and not a boundary.
"""

import ctypes
import os
from typing import Final, final

from ringfence.transport.kernel.syscall import library

_PAGE: Final = 4096
_POINTER: Final = 8


class _Span(ctypes.Structure):
    """`struct iovec`."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


@final
class Memory:
    """One process's memory. Every method raises OSError if it cannot be read."""

    def __init__(self, pid: int) -> None:
        """`pid` may be a thread's."""
        self._pid = ctypes.c_int(pid)
        self._page = -1
        self._held = b""

    def text(self, address: int, most_bytes: int) -> bytes:
        """The bytes up to the first NUL, at most so many."""
        pieces: list[bytes] = []
        left = most_bytes
        while left > 0:
            piece = self._rest_of_page(address)[:left]
            end = piece.find(b"\0")
            if end >= 0:
                pieces.append(piece[:end])
                break
            pieces.append(piece)
            address, left = address + len(piece), left - len(piece)
        return b"".join(pieces)

    def pointers(self, address: int, most: int) -> list[int]:
        """The pointers of an array that ends with a null one, at most so many."""
        found: list[int] = []
        while address and len(found) < most:
            raw = self.read(address, (_PAGE - address % _PAGE) // _POINTER * _POINTER or _POINTER)
            for at in range(0, len(raw), _POINTER):
                pointer = int.from_bytes(raw[at : at + _POINTER], "little")
                if not pointer or len(found) == most:
                    return found
                found.append(pointer)
            address += len(raw)
        return found

    def read(self, address: int, length: int) -> bytes:
        """Exactly so many bytes."""
        buffer = ctypes.create_string_buffer(length)
        here = _Span(ctypes.addressof(buffer), length)
        there = _Span(address, length)
        got = library().process_vm_readv(
            self._pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0
        )
        if got != length:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), "process_vm_readv")
        return buffer.raw

    def _rest_of_page(self, address: int) -> bytes:
        """From an address to its page's end: whether the next is there is not known."""
        page, offset = address - address % _PAGE, address % _PAGE
        if page != self._page:
            self._page, self._held = page, self.read(page, _PAGE)
        return self._held[offset:]

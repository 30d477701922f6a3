"""Read what another process's pointers refer to, and what it looks like from outside.

process_vm_readv(2) and proc(5). The reader must be an ancestor where Yama restricts (`ptrace_scope`
1); a process may change what was read, so it is evidence and not a boundary.
"""

import ctypes
import functools
import os
import struct
from collections.abc import Iterable
from typing import Any, Final, final

from ringfence.transport.kernel.syscall import library

_PAGE: Final = 4096
_POINTER: Final = 8
_AT_ONCE: Final = 16
"""Pages that one system call reads: the words of most commands lie on fewer."""
_SPAN = struct.Struct("=QQ")  # struct iovec


@functools.cache
def _entry() -> Any:  # noqa: ANN401 (a function of ctypes)
    function = library().process_vm_readv
    address, size = ctypes.c_void_p, ctypes.c_ulong
    function.argtypes = (ctypes.c_int, address, size, address, size, size)
    function.restype = ctypes.c_ssize_t
    return function


@final
class Pages:
    """Where pages of other processes are read to; for one thread, and for one after the other."""

    def __init__(self) -> None:
        """Nothing is read yet."""
        here, there = (ctypes.create_string_buffer(size) for size in (_SPAN.size, _SPAN.size * 16))
        held = ctypes.create_string_buffer(_PAGE * _AT_ONCE)
        self._held, self._there = memoryview(held).cast("B"), memoryview(there).cast("B")
        self._here = memoryview(here).cast("B")
        self._from = ctypes.addressof(held)
        self._spans = ctypes.addressof(here), ctypes.addressof(there)

    def read(self, pid: int, pages: Iterable[int]) -> dict[int, bytes]:
        """The pages at these addresses, `_AT_ONCE` at most, up to the first that is not there."""
        count = 0
        for page in pages:
            _SPAN.pack_into(self._there, count * _SPAN.size, page, _PAGE)
            count += 1
        _SPAN.pack_into(self._here, 0, self._from, count * _PAGE)
        here, there = self._spans
        got = _entry()(pid, here, 1, there, count, 0)
        if got < _PAGE:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), "process_vm_readv")
        held = self._held
        return {
            page: bytes(held[at : at + _PAGE])
            for page, at in zip(pages, range(0, got, _PAGE), strict=False)
        }


@final
class Memory:
    """One process's memory. Every method but `expect` raises OSError if it cannot be read.

    A page is read once: what was read of it stays the same, whatever its process does.
    """

    def __init__(self, pid: int, pages: Pages | None = None) -> None:
        """`pid` may be a thread's."""
        self._pid = pid
        self._pages = pages or Pages()
        self._held: dict[int, bytes] = {}

    def expect(self, addresses: Iterable[int]) -> None:
        """Read all of these at once, as far as they are there: they will be asked for next."""
        wanted = {address & -_PAGE for address in addresses if address}
        missing = sorted(wanted - self._held.keys())[:_AT_ONCE]
        if missing:
            try:
                self._held.update(self._pages.read(self._pid, missing))
            except OSError:
                return  # whoever asks for it is told

    def text(self, address: int, most_bytes: int) -> bytes:
        """The bytes up to the first NUL, at most so many."""
        pieces: list[bytes] = []
        left = most_bytes
        while left > 0:
            page = self._page(address & -_PAGE)
            start = address & (_PAGE - 1)
            end = page.find(b"\0", start, start + left)
            if end >= 0:
                pieces.append(page[start:end])
                break
            piece = page[start : start + left]
            pieces.append(piece)
            address, left = address + len(piece), left - len(piece)
        return b"".join(pieces)

    def pointers(self, address: int, most: int) -> list[int]:
        """The pointers of an array that ends with a null one, at most so many."""
        found: list[int] = []
        while address and len(found) < most:
            pointer = int.from_bytes(self._bytes(address, _POINTER), "little")
            if not pointer:
                break
            found.append(pointer)
            address += _POINTER
        return found

    def read(self, address: int, length: int) -> bytes:
        """Exactly so many bytes."""
        return self._bytes(address, length)

    def _bytes(self, address: int, length: int) -> bytes:
        start = address & (_PAGE - 1)
        piece = self._page(address & -_PAGE)[start : start + length]
        if len(piece) == length:
            return piece
        return piece + self._bytes(address + len(piece), length - len(piece))

    def _page(self, page: int) -> bytes:
        """Whether the next one is there is not known, so nothing reads beyond a page's end."""
        held = self._held.get(page)
        if held is None:
            held = self._held[page] = self._pages.read(self._pid, (page,))[page]
        return held

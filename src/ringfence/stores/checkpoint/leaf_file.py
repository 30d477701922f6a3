"""The hashes of one log's leaves in a flat file, so that a change can be named exactly."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self, final

from ringfence.stores.checkpoint.place import open_appendable

HASH_BYTES: Final = 32
_BLOCK: Final = 4096
"""Hashes read at once: 128 KB."""


@final
class LeafFile:
    """Appends hashes, and reads them back by index from 0; for one thread."""

    def __init__(self, descriptor: int) -> None:
        """Use `open`."""
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size // HASH_BYTES

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open for appending, making it if there is none. Raises OSError.

        What a power cut left of a last hash is cut off.
        """
        file = cls(open_appendable(path))
        file.truncate(file.size)
        return file

    @classmethod
    def open_readable(cls, path: Path) -> Self:
        """Open beside its writer. Raises OSError."""
        return cls(os.open(path, os.O_RDONLY | os.O_CLOEXEC))

    def append(self, hashes: bytes) -> None:
        """Write hashes at the end; durable only after `sync`. Raises OSError."""
        written = os.write(self._descriptor, hashes)
        if written != len(hashes):
            self.truncate(self.size)
            raise OSError(None, "only a part could be written")
        self.size += written // HASH_BYTES

    def truncate(self, size: int) -> None:
        """Forget what lies beyond a number of hashes. Raises OSError."""
        os.ftruncate(self._descriptor, size * HASH_BYTES)
        self.size = size

    def read(self, first: int, count: int) -> bytes:
        """Hashes from an index on, joined; fewer where the file ends. Raises OSError."""
        data = b""
        left = count * HASH_BYTES
        while left:
            more = os.pread(self._descriptor, left, first * HASH_BYTES + len(data))
            if not more:
                break
            data += more
            left -= len(more)
        return data[: len(data) // HASH_BYTES * HASH_BYTES]

    def blocks(self, first: int, end: int) -> Iterator[bytes]:
        """Hashes from one index up to another, not included, in blocks. Raises OSError."""
        while first < end:
            block = self.read(first, min(_BLOCK, end - first))
            if not block:
                return
            yield block
            first += len(block) // HASH_BYTES

    def hashes(self, first: int, end: int) -> Iterator[bytes]:
        """The same one by one."""
        for block in self.blocks(first, end):
            for at in range(0, len(block), HASH_BYTES):
                yield block[at : at + HASH_BYTES]

    def sync(self) -> None:
        """Make everything so far survive a power cut. Raises OSError."""
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Close the file; may be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

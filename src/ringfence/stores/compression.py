"""Zstandard, from the standard library where it has it."""

import sys

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


ZstdError = zstd.ZstdError
"""What is raised for bytes that are no whole frame."""


class Compressor:
    """Compresses one piece after another; keeps its tables, so one object serves one thread."""

    def __init__(self, level: int) -> None:
        """Prepare the tables of a level (see the zstd manual; 1 is fast, 19 is small)."""
        self._zstd = zstd.ZstdCompressor(level=level)

    def compress(self, data: bytes) -> bytes:
        """One whole frame."""
        return self._zstd.compress(data, zstd.ZstdCompressor.FLUSH_FRAME)


def decompress(data: bytes) -> bytes:
    """The bytes of one whole frame."""
    return zstd.decompress(data)

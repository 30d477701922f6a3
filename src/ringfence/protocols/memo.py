"""Remembers the reading of large parts that clients send again unchanged, such as tool lists."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

_T = TypeVar("_T")
_SAMPLE_BYTES = 128


class Memo(Generic[_T]):
    """A small least-recently-used cache of readings by their exact bytes.

    Hashing 80 KB takes longer than comparing it, so entries are found by length and a sample of
    the bytes, and then compared whole. Holds at most `entries` × `longest_bytes`.
    """

    __slots__ = ("_entries", "_known", "_longest_bytes", "_read")

    def __init__(
        self, read: Callable[[bytes], _T], *, entries: int = 64, longest_bytes: int = 262_144
    ) -> None:
        """Remember what `read` gives; it must depend on the bytes alone."""
        self._read = read
        self._entries = entries
        self._longest_bytes = longest_bytes
        self._known: OrderedDict[tuple[int, bytes, bytes, bytes], tuple[bytes, _T]] = OrderedDict()

    def read(self, raw: bytes) -> _T:
        """Give the reading of these bytes. An exception is passed on and not remembered."""
        size = len(raw)
        middle = raw[size // 2 : size // 2 + _SAMPLE_BYTES]
        key = (size, raw[:_SAMPLE_BYTES], middle, raw[-_SAMPLE_BYTES:])
        hit = self._known.get(key)
        if hit is not None and hit[0] == raw:
            self._known.move_to_end(key)
            return hit[1]
        reading = self._read(raw)
        if size <= self._longest_bytes:
            self._known[key] = (raw, reading)
            self._known.move_to_end(key)
            if len(self._known) > self._entries:
                self._known.popitem(last=False)
        return reading

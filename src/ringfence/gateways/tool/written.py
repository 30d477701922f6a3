"""Lists of tools as they were written, kept while nothing changes that they were written from."""

from collections.abc import Callable, Sequence
from typing import Final, final

import msgspec

from ringfence.enforcement.tool_registry import Registered
from ringfence.protocols import strict_json
from ringfence.protocols.mcp.version import Era

MOST_BYTES: Final = 8 * 1024 * 1024
"""Of all lists together, and of the pages of servers that they were written from."""

Usable = tuple[Sequence[Registered], ...]
"""The tools that are shown, of one server after the other."""


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """One list: what was written of these tools, with what their server's page says besides."""

    usable: Usable
    first: bytes
    whole: bytes
    ttl: tuple[int, int]
    """Where it says for how long it holds; nowhere if both are 0."""

    def holding(self, left_ms: int) -> bytes:
        """The list, which holds for so much longer."""
        start, end = self.ttl
        return (
            self.whole if not end else b"%b%d%b" % (self.whole[:start], left_ms, self.whole[end:])
        )


@final
class WrittenLists:
    """One for each door."""

    def __init__(self) -> None:
        """Nothing is written yet."""
        self._kept: dict[tuple[object, ...], Written] = {}
        self._bytes = 0

    def of(self, usable: Usable, first: bytes, era: Era, write: Callable[[], bytes]) -> Written:
        """The list of these tools; `write` is called if it is not the one that is kept.

        INVARIANT: the tools are kept with what was written of them, so that no others can have
        their `id`.
        """
        key = (era, not first, *map(id, usable))
        known = self._kept.get(key)
        if known is not None and known.first == first:
            return known
        whole = write()
        made = Written(usable=usable, first=first, whole=whole, ttl=_ttl(whole))
        self._keep(key, made)
        return made

    def _keep(self, key: tuple[object, ...], made: Written) -> None:
        before = self._kept.pop(key, None)
        self._bytes -= 0 if before is None else _size(before)
        if _size(made) > MOST_BYTES:
            return
        self._kept[key] = made
        self._bytes += _size(made)
        while self._bytes > MOST_BYTES:
            self._bytes -= _size(self._kept.pop(next(iter(self._kept))))


def _size(written: Written) -> int:
    return len(written.whole) + len(written.first)


def _ttl(whole: bytes) -> tuple[int, int]:
    return strict_json.spans(whole).get("ttlMs", (0, 0))

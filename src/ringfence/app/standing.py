"""Reads books that may be long without keeping a loop from its other work."""

import asyncio
from collections.abc import Iterable, Sequence

from ringfence.decisions.period import Line


async def in_turns(parts: Iterable[Sequence[Line]]) -> list[Line]:
    """All lines; whatever else the loop has to do is done between the parts."""
    lines: list[Line] = []
    for part in parts:
        lines += part
        await asyncio.sleep(0)
    return lines

"""Work that nobody waits for: kept until it is done, and heard of if it fails."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final

_LOG = logging.getLogger(__name__)
_RUNNING: Final[set[asyncio.Task[None]]] = set()


def background(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Begin it."""
    task = asyncio.get_running_loop().create_task(work, name="background")
    _RUNNING.add(task)
    task.add_done_callback(_over)
    return task


def _over(task: asyncio.Task[None]) -> None:
    _RUNNING.discard(task)
    if not task.cancelled() and task.exception() is not None:
        _LOG.error("what ran in the background failed", exc_info=task.exception())


async def settled(timeout_s: float = 5.0) -> None:
    """Wait for what was begun in this loop, for so long."""
    loop = asyncio.get_running_loop()
    running = [task for task in _RUNNING if task.get_loop() is loop]
    if running:
        await asyncio.wait(running, timeout=timeout_s)

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

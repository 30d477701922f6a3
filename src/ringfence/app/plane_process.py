"""A plane as a process: from its start to the signal that ends it."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Mapping

from ringfence.app import interpreter, terminal
from ringfence.app.configuration import Prepared
from ringfence.app.plane import GRACE_S, Plane
from ringfence.config.settings import Settings
from ringfence.domain.error import RingfenceError

_LOG = logging.getLogger(__name__)


async def run(
    settings: Settings, environment: Mapping[str, str], ready: Callable[[Plane, Prepared], None]
) -> None:
    """Start a plane, tell when it is ready, serve until SIGTERM or SIGINT, stop in order.

    A second signal does not wait for running answers. Raises RingfenceError, also at the end if
    events were lost.
    """
    interpreter.prefer_loop()
    stop = asyncio.Event()
    was_attached = terminal.is_attached()
    plane = Plane(settings, environment)
    loop = asyncio.get_running_loop()

    def end() -> None:
        if stop.is_set():
            plane.hurry()
        stop.set()

    def hang_up() -> None:
        if terminal.is_gone(was_attached=was_attached):
            end()
        else:
            _spawn(_reload(plane))

    # From here on a signal ends the plane in order, also while it is starting.
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    prepared = await plane.start()
    try:
        loop.add_signal_handler(signal.SIGHUP, hang_up)
        interpreter.freeze()
        ready(plane, prepared)
        await stop.wait()
        _LOG.info("stopping", extra={"grace_s": GRACE_S})
    finally:
        await plane.stop()


async def _reload(plane: Plane) -> None:
    try:
        await plane.reload(f"signal:uid={os.geteuid()}")
    except RingfenceError as error:
        _LOG.error("configuration not loaded; the old one stays: %s", error)


_tasks: set[asyncio.Task[None]] = set()


def _spawn(work: Coroutine[object, object, None]) -> None:
    """Run something beside the loop's other work and keep it from being collected."""
    task = asyncio.create_task(work)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)

"""A thread that does one job after another, so that the event loop never waits for the disk."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from typing import Final, final

_RING: Final = (1).to_bytes(8, sys.byteorder)


@final
class Committer:
    """Does one job at a time for one event loop.

    Far cheaper than an executor: a job costs one wake-up in each direction and nothing else, and
    the thread needs the interpreter only for the job itself.
    `is_running` tells whether a job is being done.
    INVARIANT: all methods are for the loop's thread; made after fork.
    """

    def __init__(self, name: str) -> None:
        """Start the thread."""
        self.is_running = False
        self._job: Callable[[], None] | None = None
        self._error: BaseException | None = None
        self._ended: Callable[[], object] = lambda: None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._begun, self._begin = _bell()
        self._end = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def ident(self) -> int:
        """The thread's id, to read its CPU clock."""
        return self._thread.ident or 0

    def start(self, job: Callable[[], None], ended: Callable[[], object]) -> None:
        """Do a job; when it is over, `ended` is called in the loop and then calls `result`.

        The job before must be over and its result taken.
        """
        self._end.acquire()
        self.is_running = True
        self._job, self._ended, self._loop = job, ended, asyncio.get_running_loop()
        # Not a lock: a system call lets go of the interpreter, which the thread needs at once. One
        # that is woken and cannot have it sleeps again, which costs a lone call two switches.
        os.write(self._begin, _RING)

    def result(self) -> BaseException | None:
        """What the last job raised; for after its end."""
        error, self._error = self._error, None
        return error

    async def wait(self) -> None:
        """Return when no job is running, also one that was started by a loop that is gone."""
        if self.is_running:
            await asyncio.to_thread(self._wait)

    async def stop(self) -> None:
        """End the thread; no job may be running."""
        self._job = None
        os.write(self._begin, _RING)
        await asyncio.to_thread(self._thread.join)
        for bell in {self._begun, self._begin}:
            os.close(bell)

    def _wait(self) -> None:
        with self._end:
            return

    def _run(self) -> None:
        while os.read(self._begun, len(_RING)) and (job := self._job) is not None:
            try:
                job()
            except BaseException as error:  # noqa: BLE001 (the thread lives on; the loop learns of it)
                self._error = error
            ended, loop = self._ended, self._loop
            self._job = None
            self.is_running = False
            self._end.release()
            if loop is not None:
                _tell(loop, ended)


def _bell() -> tuple[int, int]:
    """Two ends, to wait at and to ring at: descriptors, which may be the same one."""
    if hasattr(os, "eventfd"):
        bell = os.eventfd(0)
        return bell, bell
    return os.pipe()


def _tell(loop: asyncio.AbstractEventLoop, ended: Callable[[], object]) -> None:
    try:
        loop.call_soon_threadsafe(ended)
    except RuntimeError:
        return  # the loop is closed; who closes the writer finds the result

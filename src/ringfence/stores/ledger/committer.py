"""A thread that does one job after another, so that the event loop never waits for the disk."""

import asyncio
import threading
from collections.abc import Callable
from typing import final


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
        self._begin = threading.Lock()
        self._begin.acquire()
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
        self._begin.release()

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
        self._begin.release()
        await asyncio.to_thread(self._thread.join)

    def _wait(self) -> None:
        with self._end:
            return

    def _run(self) -> None:
        while self._begin.acquire() and (job := self._job) is not None:
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


def _tell(loop: asyncio.AbstractEventLoop, ended: Callable[[], object]) -> None:
    try:
        loop.call_soon_threadsafe(ended)
    except RuntimeError:
        return  # the loop is closed; who closes the writer finds the result

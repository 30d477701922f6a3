"""Keep events in a journal while their log cannot be written, off the event loop and in groups."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, final

from ringfence.domain.event import AnyEvent
from ringfence.stores.ledger.journal import Entry, Journal

Told = Callable[[BaseException | None], None]
"""Called in the loop when an event is durable, or with why it is not."""


class _Waiting(NamedTuple):
    entry: Entry
    told: Told


@final
class Journaling:
    """For one event loop; its thread is made when something is to be kept."""

    def __init__(self, journal: Journal) -> None:
        """Nothing is kept by this process yet."""
        self._journal = journal
        self._thread: ThreadPoolExecutor | None = None
        self._waiting: list[_Waiting] = []
        self._is_running = False
        self._kept: dict[int, AnyEvent] = {}

    @property
    def is_idle(self) -> bool:
        """Whether nothing is on its way to the journal."""
        return not (self._waiting or self._is_running)

    def keeps(self, event: AnyEvent) -> bool:
        """Whether this very event has been kept since the journal was cleared last."""
        return id(event) in self._kept

    def put(self, event: AnyEvent, after: int, told: Told) -> None:
        """Keep an event; `after` is the sequence that the next event of its log will have."""
        self._waiting.append(_Waiting(Entry(after, event), told))
        if not self._is_running:
            self._is_running = True
            asyncio.get_running_loop().call_soon(self._next)

    def clear(self) -> None:
        """All that was kept is in its log. If that fails, the next start finds it there."""
        if self._kept:
            self._kept.clear()
            self._run(self._journal.clear).add_done_callback(_look)

    async def close(self) -> None:
        """Keep what waits, and end the thread."""
        while not self.is_idle:  # noqa: ASYNC110 (once, at the end)
            await asyncio.sleep(0.01)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.shutdown)
        self._journal.close()

    def _next(self) -> None:
        group, self._waiting = self._waiting, []
        self._is_running = bool(group)
        if group:
            running = self._run(lambda: self._journal.add([one.entry for one in group]))
            running.add_done_callback(lambda done: self._ended(group, done.exception()))

    def _run(self, job: Callable[[], None]) -> asyncio.Future[None]:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        return asyncio.get_running_loop().run_in_executor(self._thread, job)

    def _ended(self, group: list[_Waiting], error: BaseException | None) -> None:
        if error is None:
            self._kept |= {id(one.entry.event): one.entry.event for one in group}
        for one in group:
            one.told(error)
        self._next()


def _look(done: asyncio.Future[None]) -> None:
    done.exception()

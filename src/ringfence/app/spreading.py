"""Telling the workers of a plane what becomes of runs, and waiting until all know who must."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol, final

from ringfence.app.message import Message
from ringfence.domain.lease import Holder
from ringfence.domain.registry import Ended, Marked, Opened


class Peer(Protocol):
    """A worker as far as it matters here; `RemoteWorker` is one."""

    @property
    def number(self) -> int:
        """The place that it fills."""

    @property
    def holder(self) -> Holder:
        """Its name among those who hold slabs of limits; of one life only."""

    def tell(self, message: Message) -> None:
        """Say something that needs no answer."""

    def ask(self, message: Message) -> asyncio.Future[Message]:
        """Say something that is answered."""

    async def obey(self, answer: asyncio.Future[Message]) -> None:
        """Return when it has been taken, or can no longer be disobeyed."""


Workers = Callable[[], Sequence[Peer]]
"""Every worker that is told of changes now."""


@final
class Spreading:
    """What is under way to workers; used by one event loop."""

    def __init__(self, workers: Workers) -> None:
        """Nothing is."""
        self._workers = workers
        self._tasks: set[asyncio.Task[None]] = set()

    def tell(self, number: int, told: Ended | Marked) -> None:
        """Spread it to the worker that fills this place, if one does."""
        for worker in self._workers():
            if worker.number == number:
                self.spread(worker, told)

    def spread(self, worker: Peer, message: Opened | Ended | Marked) -> None:
        """Say it in this turn; on its way until that worker knows, or can no longer disobey."""
        task = asyncio.create_task(worker.obey(worker.ask(message)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Return when nothing is on its way that was when this began."""
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))

"""The worker processes of a plane: started, watched, buried, and started again."""

import asyncio
import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, final

from ringfence.api.context import WorkerStatus
from ringfence.app.message import Message, Start, Started
from ringfence.app.remote_worker import Asked, RemoteWorker, unexpected
from ringfence.app.slot import Slot
from ringfence.app.worker_log import WorkerLogs
from ringfence.domain.error import RingfenceError, UnavailableError
from ringfence.domain.lease import Holder
from ringfence.stores.ledger.charged import Totals
from ringfence.transport.clock import Clock

_LOG = logging.getLogger(__name__)

ANSWER_S: Final = 2.0
"""How long a worker is waited for that is only asked how it is."""
_START_S: Final = 60.0
_RECOVER_EVERY_S: Final = 0.5
_DRAIN_MARGIN_S: Final = 15.0
"""What ending takes beyond the grace: cutting what is left, writing the last events."""


class Head(Asked, Protocol):
    """Whoever knows what workers begin with, and what follows from their ends: the supervisor."""

    def start(self, slot: Slot, worker: RemoteWorker, /) -> Start:
        """What a worker begins with; every change after this is told to it."""

    def serves(self, worker: RemoteWorker, /) -> None:
        """It has begun."""

    def died(self, worker: RemoteWorker, /) -> None:
        """It has ended, perhaps before it had begun."""

    async def prove(self, worker: RemoteWorker, before: Totals, after: Totals, /) -> None:
        """Its log has been made whole: what it had charged, and has now.

        Raises UnavailableError if that cannot be kept.
        """


@final
class WorkerPool:
    """Keeps so many places filled; made inside the running loop."""

    def __init__(
        self, count: int, clock: Clock, environment: Mapping[str, str], head: Head
    ) -> None:
        """Nothing is started yet. `environment` is added to each process's own."""
        self._head = head
        self._clock = clock
        self._environment = environment
        self._slots = [Slot(number=at) for at in range(1, count + 1)]
        self._lives = itertools.count(1)
        self._tasks: list[asyncio.Task[None]] = []
        self._first: list[asyncio.Future[None]] = []
        self._may_begin = asyncio.Event()
        self._is_ending = False
        self._are_known_by_log = False

    def spawn(self) -> None:
        """Start every process; they import what they need while the plane gets ready."""
        for slot in self._slots:
            served: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._first.append(served)
            self._tasks.append(asyncio.create_task(self._keep(slot, served)))

    def install(self, names: Sequence[str], logs: WorkerLogs, *, are_known_by_log: bool) -> None:
        """Take the names of their logs, one for each place, and who can make one whole.

        Where planes share limits, who holds a part of one is known by the log that it writes.
        """
        for slot, name in zip(self._slots, names, strict=True):
            slot.log = name
        self._logs = logs
        self._are_known_by_log = are_known_by_log

    async def serve(self) -> None:
        """Let every worker begin, and return when all serve.

        Raises UnavailableError `worker_failed`, UsageError.
        """
        self._may_begin.set()
        try:
            async with asyncio.timeout(_START_S):
                await asyncio.gather(*self._first)
        except TimeoutError:
            raise UnavailableError(
                "worker_failed", "the workers have not started in time"
            ) from None

    # Who is there

    @property
    def told(self) -> list[RemoteWorker]:
        """The workers that are told of every change."""
        workers = [slot.worker for slot in self._slots]
        return [each for each in workers if each is not None and each.is_told]

    async def ask(self, make: Callable[[], Message]) -> list[Message]:
        """The answers of those who answer soon."""
        asked = [
            slot.worker.ask(make())
            for slot in self._slots
            if slot.worker is not None and slot.worker.is_serving
        ]
        if not asked:
            return []
        done, late = await asyncio.wait(asked, timeout=ANSWER_S)
        for each in late:
            each.cancel()
        return [each.result() for each in done if each.exception() is None]

    def trouble(self) -> str:
        """Empty if every worker can do its work, else which cannot and why."""
        now_us = self._clock.monotonic_us()
        return next((why for slot in self._slots if (why := slot.trouble(now_us))), "")

    def status(self) -> list[WorkerStatus]:
        """How each worker is; who has ended for good is not told of."""
        now_us = self._clock.monotonic_us()
        there = [slot for slot in self._slots if slot.worker is not None or not self._is_ending]
        return [slot.status(now_us) for slot in there]

    def end_silent(self) -> None:
        """Give up who has been silent for too long."""
        now_us = self._clock.monotonic_us()
        for slot in self._slots:
            if slot.is_given_up(now_us) and slot.worker is not None:
                _LOG.error("worker %d does not answer and is ended", slot.number)
                slot.worker.kill()

    # Their end

    async def drain(self, grace_s: float, hurry: asyncio.Event) -> None:
        """Let every worker end in order, at the same time."""
        self._is_ending = True
        workers = [slot.worker for slot in self._slots if slot.worker is not None]

        async def hasten() -> None:
            await hurry.wait()
            for each in workers:
                each.hurry()

        hastening = asyncio.create_task(hasten())
        limit_s = grace_s + _DRAIN_MARGIN_S
        await asyncio.gather(*(each.drain(grace_s, limit_s) for each in workers))
        hastening.cancel()

    async def close(self) -> None:
        """End what is left of them."""
        self._is_ending = True
        for slot in self._slots:
            if slot.worker is not None:
                slot.worker.kill()
                await slot.worker.ended()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for first in self._first:
            first.cancel()

    # One place, life after life

    async def _keep(self, slot: Slot, first: asyncio.Future[None]) -> None:
        """Fill a slot for as long as the plane runs."""
        while not self._is_ending:
            life = next(self._lives)
            worker = slot.worker = RemoteWorker(slot.number, self._clock, self._head, life)
            error: RingfenceError | None = None
            try:
                await worker.spawn(self._environment)
                await self._begin(slot, worker)
                if not first.done():
                    first.set_result(None)
            except RingfenceError as caught:
                error = caught
                worker.kill()
            except Exception as caught:  # noqa: BLE001 (a place must not stay empty for ever)
                _LOG.exception("worker %d could not be started", slot.number)
                error = UnavailableError("worker_failed", f"a worker cannot be started: {caught}")
                worker.kill()
            code = await worker.ended()
            self._name(slot, worker)  # also one that ended before it had begun
            self._head.died(worker)
            pause_s = slot.ended(self._clock.monotonic_us(), in_order=code == 0 and error is None)
            if error is not None and not first.done():
                first.set_exception(error)
                return
            _tell_of_end(slot, code, error, pause_s)
            await self._bury(slot, worker)
            await asyncio.sleep(pause_s)

    async def _begin(self, slot: Slot, worker: RemoteWorker) -> None:
        await self._may_begin.wait()
        if slot.charged is None:
            slot.charged = await asyncio.to_thread(self._logs.charged, slot.log)
        self._name(slot, worker)
        # From here to the ask, one turn: what changes later is told after this.
        answer = worker.ask(self._head.start(slot, worker))
        worker.is_told = True
        started = await answer
        if not isinstance(started, Started):
            raise unexpected(started)
        slot.since_us = self._clock.monotonic_us()
        worker.is_serving = True
        self._head.serves(worker)
        _LOG.info("worker %d serves", slot.number, extra={"worker_pid": worker.pid})

    def _name(self, slot: Slot, worker: RemoteWorker) -> None:
        if self._are_known_by_log:
            worker.holder = Holder(slot.log)

    async def _bury(self, slot: Slot, worker: RemoteWorker) -> None:
        """Give every intent of a dead worker its outcome, exactly once, before its log goes on.

        Then what it was lent is free again, except for what its log proves that it spent.
        """
        while not self._is_ending:
            try:
                unknown, after = await asyncio.to_thread(self._logs.recover, slot.log)
                await self._head.prove(worker, slot.charged or {}, after)
            except RingfenceError as error:
                _LOG.error("the log of worker %d cannot be recovered yet: %s", slot.number, error)
                await asyncio.sleep(_RECOVER_EVERY_S)
                continue
            slot.charged = after
            for action in unknown:
                _LOG.warning("an action has no known outcome", extra={"act": action})
            return


def _tell_of_end(slot: Slot, code: int, error: RingfenceError | None, pause_s: float) -> None:
    """Say in the log how a worker has ended, and that another will come."""
    how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
    why = f": {error}" if error is not None else ""
    level = logging.INFO if code == 0 and error is None else logging.ERROR
    _LOG.log(
        level,
        "worker %d %s%s",
        slot.number,
        how,
        why,
        extra={"failures": slot.failures, "restart_s": pause_s},
    )

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import cast

import pytest

from ringfence.app import worker_pool
from ringfence.app.message import CatchUp, Message, Start, Started
from ringfence.app.remote_worker import RemoteWorker
from ringfence.app.slot import GIVEN_UP_US, Slot
from ringfence.app.worker_log import WorkerLogs
from ringfence.app.worker_pool import WorkerPool
from ringfence.domain.error import UnavailableError
from ringfence.domain.lease import Holder
from ringfence.stores.ledger.charged import Totals
from ringfence.testing.clock import ManualClock


class Life:
    """A `RemoteWorker` without a process: begins when it is asked, ends when it is killed."""

    told: list["Life"] = []  # noqa: RUF012 (emptied before each test)

    def __init__(self, number: int, clock: ManualClock, head: object, life: int) -> None:
        del head
        self.number, self.life = number, life
        self.holder = Holder(f"{number}.{life}")
        self.heard_us = clock.monotonic_us()
        self.is_told = self.is_serving = False
        self.pid, self.messages, self.pulse = life, 0, None
        self.asked: list[Message] = []
        self.is_broken = False
        self._code: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        Life.told.append(self)

    async def spawn(self, environment: Mapping[str, str]) -> None:
        if "broken" in environment:
            raise UnavailableError("worker_failed", "it is broken")

    def ask(self, message: Message) -> asyncio.Future[Message]:
        self.asked.append(message)
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        if not self.is_broken:
            answer.set_result(Started(port=1))
        return answer

    def kill(self) -> None:
        self.leave(-9)

    def leave(self, code: int) -> None:
        if not self._code.done():
            self._code.set_result(code)

    async def ended(self) -> int:
        return await asyncio.shield(self._code)

    async def drain(self, grace_s: float, limit_s: float) -> None:
        del grace_s, limit_s
        self.leave(0)


class Head:
    """Says what follows from each end, in order."""

    def __init__(self) -> None:
        self.happened: list[str] = []

    def start(self, slot: Slot, worker: RemoteWorker) -> Start:
        self.happened.append(f"start {slot.log} {worker.holder}")
        return cast("Start", None)

    def serves(self, worker: RemoteWorker) -> None:
        self.happened.append(f"serves {worker.holder}")

    def died(self, worker: RemoteWorker) -> None:
        self.happened.append(f"died {worker.holder}")

    async def prove(self, worker: RemoteWorker, before: Totals, after: Totals) -> None:
        self.happened.append(f"proved {worker.holder} {len(before)} {len(after)}")

    def told(self, worker: RemoteWorker, message: Message) -> None:
        """Nothing comes."""

    def asked(self, worker: RemoteWorker, message: Message) -> Message:
        raise NotImplementedError


class Logs:
    """Logs that cannot be made whole so many times."""

    def __init__(self, fails: int = 0) -> None:
        self.fails = fails

    def charged(self, _: str) -> Totals:
        return {}

    def recover(self, log: str) -> tuple[list[str], Totals]:
        if self.fails:
            self.fails -= 1
            raise UnavailableError("ledger_unavailable", f"{log} cannot be written")
        return ["act_1"], {}


def run(
    story: Callable[[WorkerPool, Head, ManualClock], Awaitable[None]],
    *,
    environment: Mapping[str, str] | None = None,
    logs: Logs | None = None,
    are_known_by_log: bool = False,
) -> None:
    async def told() -> None:
        Life.told.clear()
        head, clock = Head(), ManualClock()
        pool = WorkerPool(2, clock, environment or {}, head)
        pool.spawn()
        kept = cast("WorkerLogs", logs or Logs())
        pool.install(["log_1", "log_2"], kept, are_known_by_log=are_known_by_log)
        try:
            await story(pool, head, clock)
        finally:
            await pool.close()

    asyncio.run(told())


@pytest.fixture(autouse=True)
def lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_pool, "RemoteWorker", Life)
    monkeypatch.setattr(worker_pool, "_RECOVER_EVERY_S", 0.001)


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not happened():  # noqa: ASYNC110 (it tells nobody)
            await asyncio.sleep(0.001)


def test_no_worker_begins_before_it_may_and_then_all_serve() -> None:
    async def story(pool: WorkerPool, head: Head, _: ManualClock) -> None:
        await until(lambda: len(Life.told) == 2)
        assert (pool.told, head.happened) == ([], [])
        assert pool.trouble() == "worker 1 is being started"
        await pool.serve()
        assert sorted(head.happened) == [
            "serves 1.1",
            "serves 2.2",
            "start log_1 1.1",
            "start log_2 2.2",
        ]
        assert [each.number for each in pool.told] == [1, 2]
        assert [each.pid for each in pool.status()] == [1, 2]

    run(story)


def test_a_worker_that_ends_is_buried_before_the_next_one_begins() -> None:
    async def story(pool: WorkerPool, head: Head, _: ManualClock) -> None:
        await pool.serve()
        head.happened.clear()
        Life.told[0].leave(1)
        await until(lambda: "serves 1.3" in head.happened)
        assert head.happened == ["died 1.1", "proved 1.1 0 0", "start log_1 1.3", "serves 1.3"]

    run(story, logs=Logs(fails=3))


def test_where_planes_share_a_worker_is_known_by_its_log_in_every_life() -> None:
    async def story(pool: WorkerPool, head: Head, _: ManualClock) -> None:
        await pool.serve()
        Life.told[1].leave(0)
        await until(lambda: head.happened.count("serves log_2") == 2)
        assert "died log_2" in head.happened
        assert Life.told[1].life != Life.told[2].life

    run(story, are_known_by_log=True)


def test_who_is_silent_is_ended_and_who_answers_late_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_pool, "ANSWER_S", 0.01)

    async def story(pool: WorkerPool, head: Head, clock: ManualClock) -> None:
        await pool.serve()
        Life.told[1].is_broken = True
        answers = await pool.ask(lambda: CatchUp(with_bodies=False))
        assert answers == [Started(port=1)]
        clock.advance(GIVEN_UP_US + 1)
        Life.told[0].heard_us = clock.monotonic_us()
        pool.end_silent()
        await until(lambda: "died 2.2" in head.happened)
        assert "died 1.1" not in head.happened

    run(story)


def test_a_pool_that_cannot_start_says_so_and_tries_no_further() -> None:
    async def story(pool: WorkerPool, head: Head, _: ManualClock) -> None:
        with pytest.raises(UnavailableError, match="broken"):
            await pool.serve()
        await until(lambda: len(head.happened) == 2)
        assert sorted(head.happened) == ["died 1.1", "died 2.2"]
        assert len(Life.told) == 2

    run(story, environment={"broken": "yes"})


def test_who_is_drained_is_not_started_again() -> None:
    async def story(pool: WorkerPool, head: Head, _: ManualClock) -> None:
        await pool.serve()
        await pool.drain(1.0, asyncio.Event())
        await until(lambda: "died 1.1" in head.happened and "died 2.2" in head.happened)
        await pool.close()
        assert len(Life.told) == 2
        assert pool.status() == []

    run(story)

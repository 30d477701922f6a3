import asyncio
import threading
from collections.abc import Iterable, Mapping

import pytest
from tests.planes import Commons, MemoryLimits, in_thread

from ringfence.decisions.account import Place
from ringfence.domain.budget import AccountKey, BudgetScope, Per
from ringfence.domain.error import UnavailableError
from ringfence.domain.lease import AccountState, Holder, Report, Spent, Take, Taken, Want
from ringfence.enforcement.shared_broker import SharedBroker

TOTAL = AccountKey("org_1", BudgetScope.ORGANISATION, "org_1", Per.TOTAL)
RUN = AccountKey("org_1", BudgetScope.INVOCATION, "inv_1", Per.INVOCATION)
LOGS = [Holder("log_1"), Holder("log_2")]


class Pair:
    """Two planes on one database."""

    def __init__(self, kind: type[MemoryLimits] = MemoryLimits) -> None:
        self.commons = Commons()
        self.limits = []
        self.brokers = []
        for name in ("one", "two"):
            self.commons.enter(name)
            self.limits.append(kind(self.commons, name))
            self.brokers.append(SharedBroker(self.limits[-1], in_thread))

    async def take(self, at: int, amount: int, key: AccountKey = TOTAL, calls: int = 1) -> Taken:
        want = Want(
            key=key,
            window_start_us=0,
            window_end_us=None,
            limit=100,
            need=amount,
            each=amount,
            calls=calls,
        )
        broker = self.brokers[at]
        take = Take(epoch=1, wants=(want,))
        everybody = {(log, (key, 0)) for log in LOGS}
        taken = await broker.decide(
            [(key, 0)], lambda: broker.broker.take_again(LOGS[at], take, 0, everybody)
        )
        assert isinstance(taken, Taken)
        return taken

    async def report(self, at: int, amount: int) -> None:
        broker = self.brokers[at]
        report = Report(spent=(Spent(key=TOTAL, window_start_us=0, amount=amount),))
        await broker.decide((), lambda: broker.broker.report(LOGS[at], report), [(TOTAL, 0)])

    def lent(self) -> int:
        return sum(self.commons.account((TOTAL, 0)).lent.values())

    async def close(self) -> None:
        for broker in self.brokers:
            await broker.close()


class Meeting(MemoryLimits):
    """Its first reading ends when the other's does, so that only one of them can write."""

    both = threading.Barrier(2)
    has_met = False

    def read(self, places: Iterable[Place]) -> Mapping[Place, tuple[int, AccountState]]:
        found = super().read(places)
        if not self.has_met:
            self.has_met = True
            self.both.wait(60)
        return found


def test_two_planes_together_lend_no_more_than_there_is() -> None:
    async def story() -> None:
        pair = Pair(Meeting)
        taken = await asyncio.gather(*(pair.take(n % 2, 10) for n in range(30)))
        amounts = [each.slabs[0].amount for each in taken]
        assert sum(amounts) == pair.lent() == 100
        assert sum(each.is_short for each in taken) == 20
        assert sum(broker.conflicts for broker in pair.brokers) > 0
        # What is asked together is written together.
        assert sum(limits.writes for limits in pair.limits) < 30
        await pair.close()

    asyncio.run(story())


@pytest.mark.parametrize("before", [0, 1, 3])
@pytest.mark.parametrize("after", [0, 1])
def test_what_failed_is_decided_again_and_what_only_seemed_to_is_not(
    before: int, after: int
) -> None:
    async def story() -> None:
        pair = Pair()
        await pair.take(0, 40)
        pair.limits[0].faults.before = before
        pair.limits[0].faults.after = after
        await pair.report(0, 30)
        account = pair.commons.account((TOTAL, 0))
        assert (account.spent, pair.lent(), account.told[LOGS[0]]) == (30, 10, 30)
        assert (await pair.take(1, 60)).slabs[0].amount == 60
        assert (await pair.take(0, 1)).is_short
        await pair.close()

    asyncio.run(story())


def test_an_answer_that_was_lost_is_found_although_another_plane_has_written_since() -> None:
    async def story() -> None:
        pair = Pair()
        await pair.take(0, 40)
        limits = pair.limits[0]
        limits.faults.after = 1
        reporting = asyncio.create_task(pair.report(0, 30))
        while limits.faults.after:  # noqa: ASYNC110 (a thread does it)
            await asyncio.sleep(0.001)
        await pair.take(1, 20)
        await reporting
        account = pair.commons.account((TOTAL, 0))
        assert account.spent == 30
        assert account.lent == {LOGS[0]: 10, LOGS[1]: 20}
        await pair.close()

    asyncio.run(story())


def test_a_plane_that_was_taken_for_dead_decides_nothing_any_more() -> None:
    async def story() -> None:
        pair = Pair()
        await pair.take(0, 40)
        del pair.commons.batches["one"]
        pair.limits[0].faults.before = 1
        with pytest.raises(UnavailableError) as caught:
            await pair.take(0, 10)
        assert caught.value.code == "plane_gone"
        assert pair.lent() == 40
        await pair.close()

    asyncio.run(story())


def test_a_plane_that_was_removed_while_it_wrote_gives_up_too() -> None:
    async def story() -> None:
        pair = Pair()
        await pair.take(0, 40)
        del pair.commons.batches["one"]
        async with asyncio.timeout(60):
            with pytest.raises(UnavailableError) as caught:
                await pair.take(0, 10)
        assert caught.value.code == "plane_gone"
        await pair.close()

    asyncio.run(story())


def test_the_limits_of_a_run_that_has_ended_are_not_begun_afresh() -> None:
    async def story() -> None:
        pair = Pair()
        taken = await pair.take(0, 10, RUN)
        assert taken.is_short
        assert taken.slabs[0].amount == 0
        assert (RUN, 0) not in pair.commons.limits
        await pair.close()

    asyncio.run(story())


def test_what_is_asked_when_a_plane_ends_is_answered() -> None:
    async def story() -> None:
        pair = Pair()
        pair.limits[0].faults.is_away = True
        asking = asyncio.create_task(pair.take(0, 10))
        await asyncio.sleep(0.01)
        await pair.close()
        with pytest.raises(UnavailableError):
            await asking
        with pytest.raises(UnavailableError):
            await pair.take(0, 10)

    asyncio.run(story())

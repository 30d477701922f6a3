import asyncio
import time

import msgspec
import pytest
from tests.planes import Commons, MemoryLimits, in_thread, soon, turns

from ringfence.decisions.budget import MONEY
from ringfence.domain.budget import AccountKey, BudgetScope, Per
from ringfence.domain.error import UnavailableError
from ringfence.domain.lease import (
    Charged,
    Holder,
    Recall,
    Report,
    Returned,
    Spent,
    Take,
    Taken,
    Want,
)
from ringfence.enforcement import shared_lending
from ringfence.enforcement.shared_broker import SharedBroker
from ringfence.enforcement.shared_lending import CallBack, CalledBack, SharedLending
from ringfence.testing.clock import ManualClock

TOTAL = AccountKey("org_1", BudgetScope.ORGANISATION, "org_1", Per.TOTAL)
LOGS = [Holder("log_1"), Holder("log_2")]


@pytest.fixture(autouse=True)
def _is_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who answers is waited for, on whatever machine."""
    for name in ("RECALL_S", "AFAR_S", "_TAKE_S"):
        monkeypatch.setattr(shared_lending, name, 60.0)


class Office:
    """One plane with one worker, which gives back what the test says is idle."""

    def __init__(self, at: int, commons: Commons, offices: list["Office"]) -> None:
        self.log = LOGS[at]
        self.offices = offices
        self.idle = 0
        self.is_silent = False
        self.asked = 0
        self.commons = commons
        name = f"plane_{at}"
        commons.enter(name, self.log)
        self.limits = MemoryLimits(commons, name)
        self.lending = SharedLending(
            SharedBroker(self.limits, in_thread), ManualClock(), self._ask_back, self, name
        )

    def is_own(self, holder: Holder, /) -> bool:
        return holder == self.log

    def is_live(self, holder: Holder, /) -> bool:
        return any(each.log == holder for each in self.offices)

    def say(self, words: bytes, /) -> None:
        said = msgspec.json.decode(words, type=CallBack | CalledBack)
        for each in self.offices:
            if not each.is_silent:
                each.lending.hear(said)

    async def _ask_back(self, holder: Holder, recall: Recall) -> Report:
        assert holder == self.log
        self.asked += 1
        back, self.idle = self.idle, 0
        return Report(returned=tuple(Returned(*place, back) for place in recall.accounts))

    async def take(self, amount: int) -> Taken:
        want = Want(
            key=TOTAL,
            window_start_us=0,
            window_end_us=None,
            limit=100,
            need=amount,
            each=amount,
            calls=1,
        )
        return await self.lending.take(self.log, Take(epoch=1, wants=(want,)))


def offices() -> list[Office]:
    commons = Commons()
    made: list[Office] = []
    made.extend(Office(at, commons, made) for at in range(2))
    return made


def test_nobody_is_refused_while_a_worker_of_another_plane_holds_something_idle() -> None:
    async def story() -> None:
        one, two = offices()
        await one.take(90)
        one.idle = 60
        taken = await two.take(50)
        assert not taken.is_short
        assert one.asked == 1
        account = one.commons.account((TOTAL, 0))
        assert account.lent == {LOGS[0]: 30, LOGS[1]: 50}
        assert account.waiting == {}
        # And nobody waits for what cannot come back.
        assert (await two.take(50)).is_short
        for each in (one, two):
            await each.lending.close()

    asyncio.run(story())


def test_a_plane_that_does_not_answer_is_not_waited_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared_lending, "AFAR_S", 0.2)

    async def story() -> None:
        one, two = offices()
        await one.take(90)
        one.is_silent = True
        began_s = time.monotonic()
        assert (await two.take(50)).is_short
        assert time.monotonic() - began_s > 0.19
        one.offices.remove(one)  # and one that is known to be gone, not at all
        monkeypatch.setattr(shared_lending, "AFAR_S", 600.0)
        assert (await two.take(50)).is_short
        for each in (one, two):
            await each.lending.close()

    asyncio.run(story())


def test_what_is_lent_too_late_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        one, two = offices()
        await one.take(10)
        one.limits.faults.is_away = True
        monkeypatch.setattr(shared_lending, "_TAKE_S", 0.2)
        with pytest.raises(UnavailableError):
            await one.take(20)
        one.limits.faults.is_away = False
        await soon(lambda: one.limits.writes > 2)
        await turns()
        assert one.commons.account((TOTAL, 0)).lent == {LOGS[0]: 10}
        for each in (one, two):
            await each.lending.close()

    asyncio.run(story())


def test_a_dead_worker_s_slabs_count_until_its_log_proves_less() -> None:
    async def story() -> None:
        one, two = offices()
        await one.take(90)
        one.lending.died(LOGS[0])
        one.lending.report(LOGS[0], Report(returned=(Returned(TOTAL, 0, 90),)))
        await turns()
        assert (await one.lending.take(LOGS[0], Take(epoch=1, wants=()))).slabs == ()
        assert (await two.take(50)).is_short
        # Another plane may be the one that recovers it.
        await two.lending.prove(LOGS[0], [Charged(TOTAL, 0, 30)])
        assert not (await two.take(50)).is_short
        account = two.commons.account((TOTAL, 0))
        assert (account.spent, account.lent) == (30, {LOGS[1]: 60})
        # To prove it once more changes nothing.
        await two.lending.prove(LOGS[0], [Charged(TOTAL, 0, 30)])
        assert two.commons.account((TOTAL, 0)).spent == 30
        for each in (one, two):
            await each.lending.close()

    asyncio.run(story())


def test_a_database_in_which_limits_were_never_shared_is_told_what_was_spent() -> None:
    async def story() -> None:
        one, two = offices()
        await one.lending.prove(Holder("log_old"), [Charged(TOTAL, 0, 70)], begins=True)
        taken = await two.take(40)
        assert taken.is_short
        assert taken.slabs[0].amount == 30
        for each in (one, two):
            await each.lending.close()

    asyncio.run(story())


def test_the_books_show_what_the_workers_of_all_planes_have_said() -> None:
    async def story() -> None:
        one, two = offices()
        for each in (one, two):
            await each.take(20)
            spent = Spent(key=TOTAL, window_start_us=0, amount=15, reserved=5)
            each.lending.report(each.log, Report(spent=(spent,)))
            await each.lending.rest()
        [line] = await one.lending.standing("org_1", MONEY)
        assert (line.spent, line.reserved, line.limit) == (30, 10, 100)
        assert await one.lending.standing("org_2", MONEY) == []
        for each in (one, two):
            await each.lending.close()

    asyncio.run(story())


def test_a_grant_that_both_planes_know_counts_once() -> None:
    async def story() -> None:
        one, two = offices()
        for each in (one, two):
            each.lending.shared.broker.grant(TOTAL, 0, 50)
        assert not (await one.take(100)).is_short
        assert not (await two.take(50)).is_short
        assert (await two.take(1)).is_short
        for each in (one, two):
            await each.lending.close()

    asyncio.run(story())

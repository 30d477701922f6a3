import asyncio
from datetime import UTC

from tests.gateways.world import MemoryLedger

from ringfence.decisions.reservation import Demand, Reservation
from ringfence.decisions.slab import LentBook
from ringfence.domain.budget import AccountKey, BudgetScope, Per
from ringfence.domain.lease import Need, Recall, Report, Slab, Take, Taken
from ringfence.domain.money import Money
from ringfence.enforcement.lack import Lack, LackingSlabs, Supplied, Wanting
from ringfence.enforcement.lease import Slabs

KEY = AccountKey("org_1", BudgetScope.ORGANISATION, "org_1", Per.TOTAL)
NEED = Need(amount=10, tokens=10)
DEMANDS = (Demand(KEY, Money(100), UTC),)


class Scripted:
    """A lender that gives so much, once it is let."""

    def __init__(self, amount: int) -> None:
        self.amount = amount
        self.takes: list[Take] = []
        self.reports: list[Report] = []
        self.gate = asyncio.Event()

    async def take(self, take: Take) -> Taken:
        self.takes.append(take)
        await self.gate.wait()
        slab = Slab(
            key=KEY, window_start_us=0, window_end_us=None, amount=self.amount, limit=100, free=0
        )
        return Taken(slabs=(slab,), is_short=self.amount < take.wants[0].need)

    def report(self, report: Report) -> None:
        self.reports.append(report)


def lacking(
    book: LentBook, amount: int = 10, demands: tuple[Demand, ...] = DEMANDS
) -> LackingSlabs:
    call = Wanting(demands, Money(amount), 0, ())
    return LackingSlabs(
        lack=Lack.LEASE,
        organisation="org_1",
        wants=book.wants(*call),
        agent="agt_1",
        need=NEED,
        call=call,
    )


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_calls_that_lack_the_same_are_served_by_one_question() -> None:
    async def story() -> None:
        book, lender = LentBook(), Scripted(100)
        slabs = Slabs(book=book, lender=lender, ledger=MemoryLedger(), epoch=lambda: 7)
        asked = [asyncio.create_task(slabs.supply(lacking(book))) for _ in range(10)]
        await turns()
        assert [take.epoch for take in lender.takes] == [7]
        lender.gate.set()
        assert await asyncio.gather(*asked) == [Supplied.MORE] * 10
        assert book.left(DEMANDS, 0) == 100
        assert slabs.round_trips == 1

    asyncio.run(story())


def test_what_was_found_empty_is_asked_for_by_each_call_itself() -> None:
    async def story() -> None:
        book, lender = LentBook(), Scripted(3)
        slabs = Slabs(book=book, lender=lender, ledger=MemoryLedger(), epoch=lambda: 1)
        lender.gate.set()
        assert await slabs.supply(lacking(book)) is Supplied.ALL
        lender.gate.clear()
        asked = [asyncio.create_task(slabs.supply(lacking(book))) for _ in range(3)]
        await turns()
        assert len(lender.takes) == 4
        lender.gate.set()
        await asyncio.gather(*asked)

    asyncio.run(story())


def test_an_answer_settles_nothing_if_what_the_call_had_is_gone_meanwhile() -> None:
    async def story() -> None:
        book, lender = LentBook(), Scripted(0)
        other = AccountKey("org_1", BudgetScope.TEAM, "team_1", Per.TOTAL)
        held = Slab(key=other, window_start_us=0, window_end_us=None, amount=50, limit=100, free=50)
        book.receive([held])
        slabs = Slabs(book=book, lender=lender, ledger=MemoryLedger(), epoch=lambda: 1)
        both = (*DEMANDS, Demand(other, Money(100), UTC))
        asked = asyncio.create_task(slabs.supply(lacking(book, demands=both)))
        await turns()
        assert [[each.key for each in take.wants] for take in lender.takes] == [[KEY]]
        await slabs.recalled(Recall(((other, 0),)))
        lender.gate.set()
        assert await asked is Supplied.ALL
        # The second time for everything at once.
        assert [each.key for each in lender.takes[1].wants] == [KEY, other]
        assert len(lender.takes) == 2

    asyncio.run(story())


def test_a_slab_arrives_though_its_call_has_gone() -> None:
    async def story() -> None:
        book, lender = LentBook(), Scripted(50)
        slabs = Slabs(book=book, lender=lender, ledger=MemoryLedger(), epoch=lambda: 1)
        asked = asyncio.create_task(slabs.supply(lacking(book)))
        await turns()
        asked.cancel()
        lender.gate.set()
        await turns()
        assert asked.cancelled()
        assert book.left(DEMANDS, 0) == 50

    asyncio.run(story())


def test_a_recall_lets_the_calls_that_waited_go_first() -> None:
    async def story() -> None:
        book, lender = LentBook(), Scripted(30)
        slabs = Slabs(book=book, lender=lender, ledger=MemoryLedger(), epoch=lambda: 1)

        async def call() -> object:
            await slabs.supply(lacking(book))
            return book.reserve(DEMANDS, Money(10), 0)

        asked = asyncio.create_task(call())
        await turns()
        lender.gate.set()
        back = await slabs.recalled(Recall(((KEY, 0),)))
        assert isinstance(await asked, Reservation)
        assert [each.amount for each in back.returned] == [20]

    asyncio.run(story())


def test_a_recall_waits_for_outcomes_whose_calls_cost_less_than_was_set_aside() -> None:
    async def story() -> None:
        book, lender, ledger = LentBook(), Scripted(30), MemoryLedger()
        slabs = Slabs(book=book, lender=lender, ledger=ledger, epoch=lambda: 1)
        lender.gate.set()
        await slabs.supply(lacking(book))
        reserved = book.reserve(DEMANDS, Money(30), 0)
        assert isinstance(reserved, Reservation)
        book.settle(reserved, Money(10))
        assert (await slabs.recalled(Recall(()))).returned == ()
        assert ledger.flushes == 0
        ledger.listen(lambda _: book.free(reserved))
        back = await slabs.recalled(Recall(((KEY, 0),)))
        assert [each.amount for each in back.returned] == [20]
        ledger.is_failing = True
        assert (await slabs.recalled(Recall(((KEY, 0),)))).returned == ()

    asyncio.run(story())


def test_nothing_is_told_where_nothing_has_happened() -> None:
    async def story() -> None:
        book, lender = LentBook(), Scripted(30)
        slabs = Slabs(book=book, lender=lender, ledger=MemoryLedger(), epoch=lambda: 1)
        slabs.report()
        slabs.restate()
        assert lender.reports == []
        lender.gate.set()
        await slabs.supply(lacking(book))
        slabs.restate()
        assert [each.amount for each in lender.reports[0].returned] == [30]

    asyncio.run(story())

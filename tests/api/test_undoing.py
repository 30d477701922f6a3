import asyncio

from ringfence.api.undoing import AT_ONCE, Undoings
from ringfence.domain.errand import Errand, ErrandOutcome


def errand(about: str) -> Errand:
    return Errand(
        organisation="org_1",
        agent="agt_1",
        server="crm",
        tool="drop",
        arguments=b"{}",
        run="undo-1",
        about=about,
        because="",
    )


class Worker:
    """Makes one call at a time, when it is let."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.told: list[tuple[str, bool]] = []
        self.let = asyncio.Event()

    async def carry_out(self, errand: Errand) -> ErrandOutcome:
        self.begun.append(errand.about)
        await self.let.wait()
        return ErrandOutcome(is_done=True, told="")

    async def tell(self, errand: Errand, outcome: ErrandOutcome) -> None:
        self.told.append((errand.about, outcome.is_done))


def test_a_trace_is_undone_once_at_a_time_and_call_by_call() -> None:
    async def story() -> None:
        worker, undoings = Worker(), Undoings()
        steps = [errand("act_2"), errand("act_1")]
        undoings.begin("org_1", "inv_1", steps, worker.carry_out, worker.tell)
        await asyncio.sleep(0)
        assert worker.begun == ["act_2"]
        assert undoings.is_running("org_1", "inv_1")
        assert not undoings.is_running("org_2", "inv_1")
        worker.let.set()
        async with asyncio.timeout(60):
            while undoings.is_running("org_1", "inv_1"):  # noqa: ASYNC110 (it tells nobody)
                await asyncio.sleep(0)
        assert worker.told == [("act_2", True), ("act_1", True)]

    asyncio.run(story())


def test_a_plane_that_stops_begins_no_further_call() -> None:
    async def story() -> None:
        worker, undoings = Worker(), Undoings()
        for number in range(AT_ONCE):
            steps = [errand("act_2"), errand("act_1")]
            undoings.begin("org_1", str(number), steps, worker.carry_out, worker.tell)
        await asyncio.sleep(0)
        assert undoings.is_full
        await undoings.stop()
        assert worker.begun == ["act_2"] * AT_ONCE
        assert worker.told == []

    asyncio.run(story())

"""Several workers of one plane in one process: the wire is a call that takes some turns."""

import asyncio
import random

from tests.gateways.world import World

from ringfence.decisions.lease import Broker
from ringfence.domain.error import UnavailableError
from ringfence.domain.lease import Holder, Recall, Report, Take, Taken
from ringfence.domain.organisation import Organisation
from ringfence.enforcement.lending import Lending
from ringfence.testing.clock import ManualClock


class Wire:
    """The lender as one worker reaches it. `is_silent` loses what is asked of the worker."""

    def __init__(self, office: "Office", holder: Holder) -> None:
        self.office = office
        self.holder = holder
        self.is_silent = False
        self.is_cut = False

    async def take(self, take: Take) -> Taken:
        await self.office.travel()
        if self.is_cut:
            raise UnavailableError("link_closed", "the supervisor has gone")
        taken = await self.office.lending.take(self.holder, take)
        await self.office.travel()
        return taken

    def report(self, report: Report) -> None:
        self.office.lending.report(self.holder, report)


class Office:
    """Workers and the authority they share. Made inside a running loop."""

    def __init__(self, config: Organisation, count: int, seed: int = 0) -> None:
        self.chance = random.Random(seed)  # noqa: S311 (a schedule, not a secret)
        self.clock = ManualClock()
        self.lending = Lending(Broker(), self.clock, self._ask_back)
        self.wires = [Wire(self, Holder(f"w{number}.1")) for number in range(count)]
        self.worlds = [World(config, lender=wire, clock=self.clock) for wire in self.wires]

    async def travel(self) -> None:
        """A message is on its way for some turns of the loop."""
        for _ in range(self.chance.randrange(1, 6)):
            await asyncio.sleep(0)

    async def _ask_back(self, holder: Holder, recall: Recall) -> Report:
        number = [wire.holder for wire in self.wires].index(holder)
        await self.travel()
        if self.wires[number].is_silent:
            await asyncio.Event().wait()
        slabs = self.worlds[number].worker.slabs
        assert slabs is not None
        report = await slabs.recalled(recall)
        await self.travel()
        return report

    @property
    def round_trips(self) -> int:
        return sum(world.worker.slabs.round_trips for world in self.worlds if world.worker.slabs)

    def tidy(self) -> None:
        for world in self.worlds:
            world.worker.tidy()
        self.lending.tidy()

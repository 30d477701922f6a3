"""Reads of the record: few at a time, and each organisation in its turn."""

import asyncio
import threading

import pytest

from ringfence.api.scan import Scans


class Reads:
    """Reads that end when they are let."""

    def __init__(self) -> None:
        self.scans = Scans()
        self.begun: list[str] = []
        self.gates: dict[str, threading.Event] = {}

    def start(self, organisation: str, name: str) -> asyncio.Task[str]:
        gate = self.gates[name] = threading.Event()

        def read() -> str:
            self.begun.append(name)
            assert gate.wait(60)
            return name

        return asyncio.create_task(self.scans.read(organisation, read))

    async def until(self, count: int) -> None:
        async with asyncio.timeout(60):
            while len(self.begun) < count:  # noqa: ASYNC110 (a thread tells nobody)
                await asyncio.sleep(0.001)


def test_an_organisation_that_reads_all_the_time_keeps_no_other_waiting() -> None:
    async def story() -> None:
        reads = Reads()
        flood = [reads.start("org_flood", f"flood {number}") for number in range(20)]
        await reads.until(2)
        quiet = reads.start("org_quiet", "quiet")
        await reads.until(3)
        other = reads.start("org_other", "other")
        await asyncio.sleep(0.01)
        assert set(reads.begun) == {"flood 0", "flood 1", "quiet"}
        reads.gates["flood 0"].set()
        await reads.until(4)
        assert reads.begun[3] == "other"
        for gate in reads.gates.values():
            gate.set()
        assert await quiet == "quiet"
        assert await other == "other"
        assert await asyncio.gather(*flood) == [f"flood {number}" for number in range(20)]

    asyncio.run(story())


def test_a_read_that_fails_or_is_given_up_frees_its_turn() -> None:
    async def story() -> None:
        reads = Reads()

        def broken() -> str:
            raise OSError

        with pytest.raises(OSError):  # noqa: PT011 (any)
            await reads.scans.read("org_1", broken)
        first = reads.start("org_1", "first")
        also = reads.start("org_1", "also")
        await reads.until(2)
        second = reads.start("org_1", "second")
        await asyncio.sleep(0)
        second.cancel()
        third = reads.start("org_1", "third")
        await asyncio.sleep(0)
        reads.gates["first"].set()
        reads.gates["also"].set()
        reads.gates["third"].set()
        assert await first == "first"
        assert await third == "third"
        assert await also == "also"
        assert set(reads.begun) == {"first", "also", "third"}

    asyncio.run(story())

import asyncio
from pathlib import Path

import pytest
from tests.stores.ledger.event import intent, outcome
from tests.stores.ledger.writing import in_log

from ringfence.domain.error import UnavailableError
from ringfence.domain.event import AnyEvent, Outcome
from ringfence.stores.ledger.backend import Batch, TakenOverError
from ringfence.stores.ledger.fence import Fence
from ringfence.stores.ledger.journal import Journal
from ringfence.stores.ledger.journaling import Journaling
from ringfence.stores.ledger.projection import Projection
from ringfence.stores.ledger.sqlite import SqliteLog
from ringfence.stores.ledger.writer import LedgerWriter


class Away:
    """A log in a store that may be away."""

    def __init__(self, folder: Path) -> None:
        self._log = SqliteLog.open(Fence.take(folder, "log_1"))
        self.log_id, self.pending = self._log.log_id, self._log.pending
        self.is_away = self.is_taken_over = False

    @property
    def next_sequence(self) -> int:
        return self._log.next_sequence

    def commit(self, batch: Batch) -> None:
        self.probe()
        self._log.commit(batch)

    def derive(self, projection: Projection) -> None:
        self.probe()
        self._log.derive(projection)

    def probe(self) -> None:
        if self.is_taken_over:
            raise TakenOverError("store_unavailable", "it was taken over")
        if self.is_away:
            raise UnavailableError("store_unavailable", "the store is away")

    def close(self) -> None:
        self._log.close()


async def back(writer: LedgerWriter) -> None:
    async with asyncio.timeout(60):
        while writer.failure is not None:  # noqa: ASYNC110 (it tells nobody)
            await asyncio.sleep(0.01)


async def until_idle(journaling: Journaling) -> None:
    while not journaling.is_idle:  # noqa: ASYNC110 (it tells nobody)
        await asyncio.sleep(0.005)


def test_events_are_kept_in_groups_and_told_of(tmp_path: Path) -> None:
    async def run() -> None:
        journal = Journal(tmp_path, "log_1")
        journaling = Journaling(journal)
        told: list[BaseException | None] = []
        calls = [intent(f"act_{n}") for n in range(5)]
        for each in calls:
            journaling.put(each, 1, told.append)
        assert not journaling.is_idle
        await until_idle(journaling)
        assert told == [None] * 5
        assert all(map(journaling.keeps, calls))
        assert len(journal.read()) == 5
        journaling.clear()
        await journaling.close()
        assert not journaling.keeps(calls[0])
        assert Journal(tmp_path, "log_1").read() == []

    asyncio.run(run())


def test_while_the_store_is_away_who_may_goes_on_and_others_are_refused(tmp_path: Path) -> None:
    async def run() -> None:
        backend, journal = Away(tmp_path), Journal(tmp_path, "log_1")
        writer = LedgerWriter(backend, journal=journal)
        heard: list[AnyEvent] = []
        writer.listen(heard.extend)
        one, two, three = intent("act_1"), intent("act_2"), intent("act_3")
        await writer.intend(one, is_open=True)
        backend.is_away = True
        closed = writer.intend(intent("act_9"))
        await writer.intend(two, is_open=True)  # it was in line when the store went
        with pytest.raises(UnavailableError):
            await closed
        assert writer.failure is not None
        await writer.intend(three, is_open=True)
        with pytest.raises(UnavailableError):
            await writer.intend(intent("act_8"))
        writer.record(outcome(one))
        writer.record(outcome(two))
        async with asyncio.timeout(60):
            while sum(isinstance(each, Outcome) for each in heard) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        kept = Journal(tmp_path, "log_1")
        assert [entry.event.action for entry in kept.read()] == [  # type: ignore[union-attr] # intents and outcomes
            "act_2",
            "act_3",
            "act_1",
            "act_2",
        ]
        kept.close()
        backend.is_away = False
        await back(writer)
        writer.record(outcome(three))
        await writer.close()
        assert writer.lost == 0

    asyncio.run(run())
    found = in_log(tmp_path)
    assert sorted(found) == sorted(
        (kind, f"act_{n}") for kind in ("Intent", "Outcome") for n in (1, 2, 3)
    )
    assert Journal(tmp_path, "log_1").read() == []


def test_what_is_kept_is_not_lost_if_the_store_never_comes_back(tmp_path: Path) -> None:
    async def run() -> None:
        backend = Away(tmp_path)
        writer = LedgerWriter(backend, journal=Journal(tmp_path, "log_1"))
        one = intent("act_1")
        backend.is_away = True
        await writer.intend(one, is_open=True)
        writer.record(outcome(one))
        await writer.close()
        assert writer.lost == 0

    asyncio.run(run())
    journal = Journal(tmp_path, "log_1")
    assert len(journal.read()) == 2
    journal.close()


def test_nobody_goes_on_where_another_process_has_taken_the_log_over(tmp_path: Path) -> None:
    async def run() -> None:
        backend = Away(tmp_path)
        writer = LedgerWriter(backend, journal=Journal(tmp_path, "log_1"))
        backend.is_taken_over = True
        for n in range(2):
            with pytest.raises(UnavailableError):
                await writer.intend(intent(f"act_{n}"), is_open=True)
        await writer.close()

    asyncio.run(run())
    assert Journal(tmp_path, "log_1").read() == []

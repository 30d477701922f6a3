import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.stores.ledger.event import intent, outcome

from ringfence.app.storage import Files
from ringfence.app.stores import Stores, charged_by, open_in_turn, open_stores
from ringfence.domain.error import UsageError
from ringfence.stores.checkpoint import SigningKeys
from ringfence.stores.ledger import log_ids
from ringfence.testing.clock import ManualClock
from ringfence.testing.ids import SequentialIds


def test_a_folder_is_opened_closed_and_opened_again_with_one_log(tmp_path: Path) -> None:
    async def story() -> None:
        ids = SequentialIds()
        for _ in range(2):
            stores = open_stores(Files(tmp_path), ManualClock(), ids, SigningKeys(tmp_path))
            assert stores.recovered.unknown == []
            await stores.close()
        assert len(log_ids(tmp_path)) == 1

    asyncio.run(story())


def test_what_was_left_open_is_found_and_ended(tmp_path: Path) -> None:
    async def story() -> None:
        ids = SequentialIds()
        stores = open_stores(Files(tmp_path), ManualClock(), ids, SigningKeys(tmp_path))
        left, done = intent("act_1"), intent("act_2")
        await stores.ledger.intend(left)
        await stores.ledger.intend(done)
        stores.ledger.record(outcome(done))
        await stores.close()
        stores = open_stores(Files(tmp_path), ManualClock(), ids, SigningKeys(tmp_path))
        assert stores.recovered.unknown == ["act_1"]
        await stores.close()

    asyncio.run(story())


def test_a_folder_in_use_is_refused_and_nothing_stays_open(tmp_path: Path) -> None:
    async def story() -> None:
        ids = SequentialIds()
        stores = open_stores(Files(tmp_path), ManualClock(), ids, SigningKeys(tmp_path))
        with pytest.raises(UsageError):
            open_stores(Files(tmp_path), ManualClock(), ids, SigningKeys(tmp_path))
        with pytest.raises(UsageError):
            Files(tmp_path).take_log(Files(tmp_path).logs(), ids)
        await stores.close()
        Files(tmp_path).take_log(Files(tmp_path).logs(), ids).release()

    asyncio.run(story())


def test_who_is_ending_is_waited_for_and_who_runs_or_stays_is_not(tmp_path: Path) -> None:
    async def story() -> None:
        ids, clock, keys = SequentialIds(), ManualClock(), SigningKeys(tmp_path)
        earlier = open_stores(Files(tmp_path), clock, ids, keys)
        asked: list[str] = []

        def is_running() -> bool:
            asked.append("asked")
            return False

        def opening(is_running: Callable[[], bool]) -> "asyncio.Task[Stores]":
            opened = open_in_turn(Files(tmp_path), clock, ids, keys, is_running=is_running)
            return asyncio.create_task(opened)

        with pytest.raises(UsageError):
            await opening(lambda: True)
        waiting = opening(is_running)
        while not asked:  # noqa: ASYNC110 (it tells nobody)
            await asyncio.sleep(0.01)
        await earlier.close()
        earlier = await waiting
        asked.clear()
        waiting = opening(is_running)
        while not asked:  # noqa: ASYNC110 (it tells nobody)
            await asyncio.sleep(0.01)
        clock.advance(16_000_000)
        with pytest.raises(UsageError) as caught:
            await waiting
        assert caught.value.code == "log_in_use"
        await earlier.close()

    asyncio.run(story())


def test_a_log_that_was_never_written_has_charged_nothing(tmp_path: Path) -> None:
    assert charged_by(Files(tmp_path), "log_1", 0) == {}
    assert log_ids(tmp_path) == []

import asyncio
from pathlib import Path

import pytest
from tests.app.installation import Installation

from ringfence.app import worker_stores
from ringfence.app.change_message import Configure
from ringfence.app.group import Place
from ringfence.app.message import Start
from ringfence.app.worker_stores import close_worker_stores, open_worker_stores
from ringfence.domain.error import UsageError
from ringfence.stores.ledger import LedgerWriter


def start(folder: Path) -> Start:
    installed = Installation(folder)
    installed.configure("http://127.0.0.1:9")
    configuration = installed.give_token()
    return Start(
        worker=1,
        data=str(installed.data),
        log="log_worker",
        place=Place(host="127.0.0.1", port=0),
        configure=Configure(
            change=1, configuration=configuration, states={}, secrets=frozenset({"PROVIDER_KEY"})
        ),
        credentials=(),
    )


def test_a_log_has_one_writer_and_is_free_when_that_has_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_stores, "_TAKE_US", 0)
    told = start(tmp_path)

    async def story() -> None:
        log, bodies = open_worker_stores(told)
        ledger = LedgerWriter(log, bodies)
        with pytest.raises(UsageError) as taken:
            await asyncio.to_thread(open_worker_stores, told)
        assert taken.value.code == "log_in_use"
        await close_worker_stores(ledger, bodies)
        log, bodies = open_worker_stores(told)
        await close_worker_stores(LedgerWriter(log, bodies), bodies)

    asyncio.run(story())


def test_a_log_that_is_held_for_a_moment_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_stores, "_LOOK_S", 0.005)
    told = start(tmp_path)

    async def story() -> None:
        log, bodies = open_worker_stores(told)
        ledger = LedgerWriter(log, bodies)
        waiting = asyncio.create_task(asyncio.to_thread(open_worker_stores, told))
        await asyncio.sleep(0.02)
        assert not waiting.done()
        await close_worker_stores(ledger, bodies)
        log, bodies = await waiting
        await close_worker_stores(LedgerWriter(log, bodies), bodies)

    asyncio.run(story())

import asyncio
from pathlib import Path

from tests.stores.ledger.event import intent, outcome

from ringfence.app.storage import Files
from ringfence.app.stores import open_stores
from ringfence.app.worker_log import WorkerLogs
from ringfence.config.settings import SQLITE
from ringfence.stores.checkpoint import SigningKeys
from ringfence.stores.ledger import log_ids
from ringfence.testing.clock import ManualClock
from ringfence.testing.ids import SequentialIds


def left_behind(folder: Path) -> str:
    """A log of a process that ended without a word: one call ended, one did not."""

    async def story() -> None:
        stores = open_stores(Files(folder), ManualClock(), SequentialIds(), SigningKeys(folder))
        left, done = intent("act_1"), intent("act_2")
        await stores.ledger.intend(left)
        await stores.ledger.intend(done)
        stores.ledger.record(outcome(done))
        await stores.close()

    asyncio.run(story())
    (log,) = log_ids(folder)
    return log


def test_a_dead_workers_log_is_made_whole_once(tmp_path: Path) -> None:
    log = left_behind(tmp_path)
    logs = WorkerLogs(tmp_path, SQLITE, "", ManualClock())
    unknown, charged = logs.recover(log)
    assert unknown == ["act_1"]
    assert logs.recover(log) == ([], charged)
    assert logs.charged(log) == charged


def test_a_log_that_nobody_has_written_has_charged_nothing(tmp_path: Path) -> None:
    assert WorkerLogs(tmp_path, SQLITE, "", ManualClock()).charged("log_1") == {}

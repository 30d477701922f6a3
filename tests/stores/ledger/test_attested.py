import asyncio
from functools import partial
from pathlib import Path

import pytest
from tests.stores.checkpoint.signing import NOW_US, checkpoints
from tests.stores.ledger.event import intent, outcome

from ringfence.domain.error import UsageError
from ringfence.protocols.checkpoint import resumption
from ringfence.stores.checkpoint import SigningKeys
from ringfence.stores.ledger import Fence, LedgerWriter, SqliteLogs
from ringfence.stores.ledger.attested import AttestedLog, attest
from ringfence.stores.verification import Outside, verify_folder


def opened(folder: Path) -> LedgerWriter:
    logs = partial(SqliteLogs, folder)
    held = logs().take("log_1")
    return LedgerWriter(AttestedLog.open(held, logs, SigningKeys(folder), lambda: NOW_US))


async def write(folder: Path, start: int, count: int) -> None:
    writer = opened(folder)
    for number in range(start, start + count):
        one = intent(f"act_{number}")
        await writer.intend(one)
        writer.record(outcome(one))
    await writer.close()


def test_whatever_the_writer_commits_is_covered(tmp_path: Path) -> None:
    asyncio.run(write(tmp_path, 0, 30))
    asyncio.run(write(tmp_path, 30, 5))
    signed = checkpoints(tmp_path)
    assert signed[-1].size == 70
    assert not any(map(resumption, signed))
    report = verify_folder(tmp_path, Outside(), is_running=False)
    assert report.holds, report.findings
    assert report.events == 70


def test_a_log_that_was_never_signed_is_taken_up(tmp_path: Path) -> None:
    async def unsigned() -> None:
        writer = LedgerWriter.open(Fence.take(tmp_path, "log_1"))
        await writer.intend(intent("act_1"))
        await writer.close()

    asyncio.run(unsigned())
    fence = Fence.take(tmp_path, "log_1")
    attest("log_1", partial(SqliteLogs, tmp_path), SigningKeys(tmp_path), NOW_US)
    fence.release()
    (signed,) = checkpoints(tmp_path)
    assert signed.size == 1
    assert resumption(signed) is not None


def test_a_log_that_is_not_the_signed_one_is_not_opened_and_let_go(tmp_path: Path) -> None:
    asyncio.run(write(tmp_path, 0, 3))
    SigningKeys(tmp_path).path.unlink()
    with pytest.raises(UsageError):
        opened(tmp_path)
    Fence.take(tmp_path, "log_1").release()

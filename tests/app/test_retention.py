import asyncio
from pathlib import Path

from tests.stores.ledger.event import START_US
from tests.stores.verification.recording import record

from ringfence.api.context import ChangeNote
from ringfence.app.retention import RetentionWork
from ringfence.app.storage import Files
from ringfence.domain.organisation import Organisation, RetentionRules
from ringfence.stores.checkpoint import SigningKeys
from ringfence.stores.retention import Retention
from ringfence.stores.verification import Outside, verify_folder
from ringfence.testing.clock import ManualClock

DAY_US = 24 * 3600 * 1_000_000


def test_deletions_are_on_the_record(tmp_path: Path) -> None:
    record(tmp_path, 100, most=5)
    noted: list[ChangeNote] = []

    async def note(one: ChangeNote) -> None:
        noted.append(one)

    rules = RetentionRules(event_days=32)
    organisations = [Organisation(name="a", id="org_a", retention=rules)]
    clock = ManualClock(now_us=START_US + 40 * DAY_US)
    work = RetentionWork(
        Retention(SigningKeys(tmp_path), Files(tmp_path)), clock, lambda: organisations, note
    )
    asyncio.run(work.pass_over(rest_s=0))
    assert {(one.what, one.subject, one.organisation) for one in noted} == {
        ("retention.deleted", "log_1", "org_a")
    }
    assert noted[0].detail["events"].startswith("1-")
    assert verify_folder(tmp_path, Outside(), is_running=False).holds
    organisations[0] = Organisation(name="a", id="org_a")
    noted.clear()
    asyncio.run(work.pass_over(rest_s=0))
    assert noted == []


def test_a_clock_that_was_set_ahead_deletes_nothing(tmp_path: Path) -> None:
    record(tmp_path, 100, most=5)
    noted: list[ChangeNote] = []

    async def note(one: ChangeNote) -> None:
        noted.append(one)

    rules = RetentionRules(event_days=32)
    organisations = [Organisation(name="a", id="org_a", retention=rules)]
    clock = ManualClock(now_us=START_US)
    work = RetentionWork(
        Retention(SigningKeys(tmp_path), Files(tmp_path)), clock, lambda: organisations, note
    )
    clock.set(START_US + 400 * DAY_US)
    asyncio.run(work.pass_over(rest_s=0))
    assert noted == []
    clock.set(START_US)
    clock.advance(40 * DAY_US)
    asyncio.run(work.pass_over(rest_s=0))
    assert noted

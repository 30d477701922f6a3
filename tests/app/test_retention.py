import asyncio
from dataclasses import replace
from pathlib import Path

from tests.approvals import records
from tests.decisions.test_approval import BINDING, held
from tests.stores.ledger.event import START_US
from tests.stores.verification.recording import record

from ringfence.api.context import ChangeNote
from ringfence.app.retention import Record, RetentionWork
from ringfence.app.storage import Files
from ringfence.domain.approval import ApprovalState
from ringfence.domain.organisation import Organisation, RetentionRules
from ringfence.stores.approval import EndedApprovals
from ringfence.stores.checkpoint import SigningKeys
from ringfence.stores.retention import Retention
from ringfence.stores.verification import Outside, verify_folder
from ringfence.testing.clock import ManualClock

DAY_US = 24 * 3600 * 1_000_000


def work_of(
    folder: Path, clock: ManualClock, organisations: list[Organisation], note: Record
) -> RetentionWork:
    place = Files(folder)
    return RetentionWork(
        Retention(SigningKeys(folder), place),
        EndedApprovals(records(), place),
        clock,
        lambda: organisations,
        note,
    )


def test_deletions_are_on_the_record(tmp_path: Path) -> None:
    record(tmp_path, 100, most=5)
    noted: list[ChangeNote] = []

    async def note(one: ChangeNote) -> None:
        noted.append(one)

    rules = RetentionRules(event_days=32)
    organisations = [Organisation(name="a", id="org_a", retention=rules)]
    clock = ManualClock(now_us=START_US + 40 * DAY_US)
    work = work_of(tmp_path, clock, organisations, note)
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
    work = work_of(tmp_path, clock, organisations, note)
    clock.set(START_US + 400 * DAY_US)
    asyncio.run(work.pass_over(rest_s=0))
    assert noted == []
    clock.set(START_US)
    clock.advance(40 * DAY_US)
    asyncio.run(work.pass_over(rest_s=0))
    assert noted


def test_held_calls_that_have_ended_go_with_messages_and_that_is_on_the_record(
    tmp_path: Path,
) -> None:
    noted: list[ChangeNote] = []

    async def note(one: ChangeNote) -> None:
        noted.append(one)

    kept, place = records(), Files(tmp_path)
    binding = replace(BINDING, organisation="org_a")
    kept.add(held(binding=binding, created_us=START_US, state=ApprovalState.DENIED))
    kept.add(held(id="apr_2", binding=binding, created_us=START_US))
    organisations = [Organisation(name="a", id="org_a", retention=RetentionRules(body_days=30))]
    clock = ManualClock(now_us=START_US + 31 * DAY_US)
    work = RetentionWork(
        Retention(SigningKeys(tmp_path), place),
        EndedApprovals(kept, place),
        clock,
        lambda: organisations,
        note,
    )
    asyncio.run(work.pass_over(rest_s=0))
    assert [each.id for each in kept.every("org_a")] == ["apr_2"]
    assert [(one.what, one.subject, one.detail) for one in noted] == [
        ("retention.deleted", "approvals", {"held_calls": "1"})
    ]

import asyncio
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.stores.ledger.event import START_US, change, intent, outcome, refusal

from ringfence.decisions.input_bound import PPM
from ringfence.domain.budget import AccountKey, BudgetScope, Per
from ringfence.domain.error import UsageError
from ringfence.domain.event import AccountLine, AnyEvent, Intent, Outcome, Status
from ringfence.domain.usage import Usage
from ringfence.stores.ledger.fence import Fence, log_path
from ringfence.stores.ledger.query import Filter
from ringfence.stores.ledger.reader import LedgerReader
from ringfence.stores.ledger.recovery import Recovered, recover
from ringfence.stores.ledger.sqlite_logs import SqliteLogs
from ringfence.stores.ledger.sqlite_rows import SqliteRows
from ringfence.stores.ledger.writer import LedgerWriter

NOW_US = START_US + 3_600_000_000

AGENT = AccountKey("org_a", BudgetScope.AGENT, "agt_1", Per.DAY)
RUN = AccountKey("org_a", BudgetScope.INVOCATION, "inv_1", Per.INVOCATION)


def write(folder: Path, *events: AnyEvent, log: str = "log_1") -> None:
    async def run() -> None:
        writer = LedgerWriter.open(Fence.take(folder, log))
        for event in events:
            await writer.append(event)
        await writer.close()

    asyncio.run(run())


def restart(folder: Path, log: str = "log_1", now_us: int = NOW_US) -> Recovered:
    logs = SqliteLogs(folder)
    held = logs.take(log)
    try:
        return recover(held, logs, now_us)
    finally:
        held.release()


def events(folder: Path) -> list[AnyEvent]:
    reader = LedgerReader(folder)
    try:
        asked = Filter(organisation="org_a", is_newest_first=False)
        return [one.event for one in reader.query(asked)]
    finally:
        reader.close()


def spent(recovered: Recovered) -> dict[AccountKey, int]:
    return {key: amount for key, _, amount in recovered.spent}


def test_a_new_folder_has_nothing_to_recover(tmp_path: Path) -> None:
    assert restart(tmp_path) == Recovered()


def test_an_intent_without_outcome_is_charged_at_its_reservation(tmp_path: Path) -> None:
    done, lost = intent("act_1", reserved=100), intent("act_2", reserved=1000)
    write(tmp_path, done, outcome(done, cost=7), lost)
    recovered = restart(tmp_path)
    assert recovered.unknown == ["act_2"]
    assert spent(recovered) == {AGENT: 1007, RUN: 1007}
    last = events(tmp_path)[-1]
    assert isinstance(last, Outcome)
    assert (last.action, last.status, last.error) == ("act_2", Status.UNKNOWN, "process_ended")
    assert (last.cost_nano, last.reserved_nano, last.time_us) == ("1000", "1000", str(NOW_US))
    assert last.accounts == lost.accounts
    assert (last.sequence, last.log) == (4, "log_1")


def test_recovering_again_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path, intent("act_1"), intent("act_2"))
    first = restart(tmp_path)
    again = restart(tmp_path)
    assert sorted(first.unknown) == ["act_1", "act_2"]
    assert again.unknown == []
    assert again.spent == first.spent
    assert len(events(tmp_path)) == 4


def test_more_missing_outcomes_than_a_group_holds_are_all_written(tmp_path: Path) -> None:
    async def run() -> None:
        writer = LedgerWriter.open(Fence.take(tmp_path, "log_1"))
        await asyncio.gather(*(writer.intend(intent(f"act_{n}")) for n in range(350)))
        await writer.close()

    asyncio.run(run())
    assert len(restart(tmp_path).unknown) == 350
    assert [event.sequence for event in events(tmp_path)] == list(range(1, 701))


def test_what_was_committed_but_not_yet_derived_counts(tmp_path: Path) -> None:
    """A crash may come between a commit and the writing of what is derived from it."""
    one = intent("act_1")

    async def run() -> None:
        writer = LedgerWriter.open(Fence.take(tmp_path, "log_1"))
        await writer.intend(one)
        await writer.append(outcome(one, cost=5))
        for suffix in ("", "-wal", "-shm"):
            path = log_path(tmp_path, "log_1")
            copy = tmp_path / "copy" / "ledger" / (path.name + suffix)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path.with_name(path.name + suffix), copy)
        await writer.close()

    asyncio.run(run())
    recovered = restart(tmp_path / "copy")
    assert recovered.unknown == []
    assert spent(recovered) == {AGENT: 5, RUN: 5}


def test_only_open_invocations_come_back(tmp_path: Path) -> None:
    write(
        tmp_path,
        refusal("act_0", invocation="inv_3"),
        *(one for n in (1, 2) for one in pair(f"act_{n}", f"inv_{n}")),
        change("invocation.finished", "inv_2"),
    )
    recovered = restart(tmp_path)
    names = {record.invocation.id: record.steps for record in recovered.invocations}
    assert names == {"inv_1": 1, "inv_3": 0}
    assert spent(recovered) == {AGENT: 60, RUN: 30}


def test_what_ended_in_another_log_does_not_come_back(tmp_path: Path) -> None:
    """Workers write calls, the registry writes ends."""
    write(tmp_path, *pair("act_1", "inv_1"), *pair("act_2", "inv_2"), log="log_2")
    write(tmp_path, change("invocation.expired", "inv_1"), log="log_1")
    recovered = restart(tmp_path)
    assert [record.invocation.id for record in recovered.invocations] == ["inv_2"]
    assert spent(recovered) == {AGENT: 60, RUN._replace(holder="inv_2"): 30}


def test_what_a_tree_spent_in_a_log_without_its_root_counts(tmp_path: Path) -> None:
    tree = AccountKey("org_a", BudgetScope.TREE, "inv_1", Per.TREE)
    root, child = intent("act_1"), intent("act_2", invocation="inv_2", root="inv_1", parent="inv_1")
    child.accounts = [AccountLine("tree", "inv_1", "tree", "0", "1000", "900")]
    write(tmp_path, root, outcome(root), log="log_1")
    write(tmp_path, child, outcome(child, cost=70), log="log_2")
    assert spent(restart(tmp_path))[tree] == 70


def reading_steps(folder: Path, log: str) -> tuple[int, int]:
    """How many records a start reads of open runs in a log, and how much work their sums are."""
    rows = SqliteLogs(folder).read(log)
    assert isinstance(rows, SqliteRows)
    steps = [0]

    def count() -> None:
        steps[0] += 1

    rows._connection.set_progress_handler(count, 10)  # noqa: SLF001 (SQLite's own count)
    opened = rows.open_invocations()
    list(rows.spent(0, [("org_a", each.invocation.id) for each in opened]))
    rows.close()
    return len(opened), steps[0]


@pytest.mark.parametrize("ended", [20, 400])
def test_a_start_reads_of_a_worker_s_log_what_is_open_and_not_its_history(
    tmp_path: Path, ended: int
) -> None:
    calls = [intent(f"act_{n}", invocation=f"inv_{n}") for n in range(ended + 3)]

    async def worker() -> None:
        writer = LedgerWriter.open(Fence.take(tmp_path, "log_2"))
        await asyncio.gather(*map(writer.intend, calls))
        for each in calls:
            writer.record(outcome(each))
        await writer.close()

    async def registry() -> None:
        writer = LedgerWriter.open(Fence.take(tmp_path, "log_1"))
        for n in range(ended):
            writer.record(change("invocation.finished", f"inv_{n}"))
        await writer.close()

    asyncio.run(worker())
    asyncio.run(registry())
    first = restart(tmp_path)
    assert len(first.invocations) == 3
    opened, steps = reading_steps(tmp_path, "log_2")
    assert opened == 3
    assert steps < 100
    again = restart(tmp_path)
    assert (again.invocations, again.spent) == (first.invocations, first.spent)


def test_names_of_what_was_ended_on_purpose_come_back(tmp_path: Path) -> None:
    named = [
        change(
            "invocation.opened",
            f"inv_{n}",
            detail={"grouping": "header", "external_id": f"job-{n}", "credential": "crd_1"},
        )
        for n in range(4)
    ]
    ends = [
        change("invocation.stopped", "inv_0"),
        change("invocation.finished", "inv_1"),
        change("invocation.expired", "inv_2"),
    ]
    write(tmp_path, *named, *ends)
    recovered = restart(tmp_path)
    assert [each.invocation.external_id for each in recovered.closed] == ["job-0", "job-1"]
    much_later = NOW_US + 40 * 24 * 3_600_000_000
    assert restart(tmp_path, now_us=much_later).closed == []


def pair(action: str, invocation: str) -> tuple[Intent, Outcome]:
    one = intent(action, invocation=invocation)
    return one, outcome(one)


def test_past_windows_are_left_out_and_endless_ones_stay(tmp_path: Path) -> None:
    old_us = NOW_US - 40 * 24 * 3_600_000_000
    one = intent("act_1")
    one.accounts = [
        AccountLine("agent", "agt_1", "day", str(old_us), "9", "9"),
        AccountLine("team", "team_1", "month", str(NOW_US - 30 * 24 * 3_600_000_000), "9", "9"),
        AccountLine("organisation", "org_a", "total", "0", "9", "9"),
    ]
    write(tmp_path, one, outcome(one, cost=4))
    assert {key.per for key in spent(restart(tmp_path))} == {Per.MONTH, Per.TOTAL}


def test_what_recent_calls_have_shown_is_found_in_every_log(tmp_path: Path) -> None:
    for number, log in enumerate(("log_1", "log_2"), 1):
        one = intent(f"act_{number}", body_bytes=4000, operation="responses")
        done = outcome(one, usage=Usage(input_tokens=1000 * number, output_tokens=1))
        done.provider_object = f"resp_{number}"
        done.time_us = str(START_US - number)
        write(tmp_path, one, done, log=log)
    recovered = restart(tmp_path)
    seen = recovered.evidence["org_a", "small"]
    assert (seen.calls, seen.highest_ppm) == (2, PPM // 2)
    assert [each.name for each in recovered.objects] == ["resp_2", "resp_1"]


def test_logs_of_other_dead_processes_are_made_whole_too(tmp_path: Path) -> None:
    write(tmp_path, *pair("act_1", "inv_1"), log="log_1")
    write(tmp_path, intent("act_2"), log="log_2")
    recovered = restart(tmp_path, log="log_3")
    assert recovered.unknown == ["act_2"]
    assert spent(recovered) == {AGENT: 130, RUN: 130}
    (record,) = recovered.invocations
    assert (record.steps, record.cost) == (2, 130)


def test_the_log_of_a_living_process_is_left_to_it(tmp_path: Path) -> None:
    async def run() -> Recovered:
        writer = LedgerWriter.open(Fence.take(tmp_path, "log_1"))
        await writer.intend(intent("act_1"))
        try:
            return restart(tmp_path, log="log_2")
        finally:
            await writer.close()

    recovered = asyncio.run(run())
    assert recovered.held == ["log_1"]
    assert recovered.unknown == []
    assert restart(tmp_path, log="log_2").unknown == ["act_1"]


@pytest.mark.parametrize("damage", ["hollow", "torn", "overwritten", "gone"])
def test_a_damaged_log_stops_the_start_and_is_not_replaced(tmp_path: Path, damage: str) -> None:
    for number in range(40):
        write(tmp_path, *pair(f"act_{number}", "inv_1"))
    path = log_path(tmp_path, "log_1")
    whole = path.read_bytes()
    match damage:
        case "hollow":
            path.write_bytes(b"")
        case "torn":
            path.write_bytes(whole[: len(whole) // 2])
        case "overwritten":
            middle = len(whole) // 2
            path.write_bytes(whole[:4096] + b"\xff" * middle + whole[4096 + middle :])
        case "gone":
            path.unlink()
    for log in ("log_1", "log_2"):
        with pytest.raises(UsageError) as caught:
            restart(tmp_path, log)
        assert caught.value.code == "store_damaged"
        assert str(path) in caught.value.message


_LOADED = """
import asyncio, sys
from pathlib import Path
from ringfence.stores.ledger import Fence, LedgerWriter
from tests.stores.ledger.event import intent, outcome, refusal

async def work(writer, worker):
    for step in range(10_000):
        one = intent(f"act_{worker}_{step}", invocation=f"inv_{worker}", reserved=50)
        await writer.intend(one)
        if step % 3:
            writer.record(outcome(one, cost=7))
        if step == 40:
            print("loaded", flush=True)

async def main():
    writer = LedgerWriter.open(Fence.take(Path(sys.argv[1]), "log_1"))
    await asyncio.gather(*(work(writer, worker) for worker in range(8)))

asyncio.run(main())
"""


def test_after_a_kill_every_intent_has_one_outcome_and_the_sums_agree(tmp_path: Path) -> None:
    child = subprocess.Popen(  # noqa: S603 (this interpreter, our own text)
        [sys.executable, "-c", _LOADED, str(tmp_path)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"loaded\n"
        child.kill()
    recovered = restart(tmp_path)
    found = events(tmp_path)
    intents = Counter(event.action for event in found if isinstance(event, Intent))
    outcomes = Counter(event.action for event in found if isinstance(event, Outcome))
    assert intents == outcomes
    assert set(outcomes.values()) == {1}
    unknown = {
        event.action
        for event in found
        if isinstance(event, Outcome) and event.status is Status.UNKNOWN
    }
    assert unknown == set(recovered.unknown)
    total = sum(int(event.cost_nano) for event in found if isinstance(event, Outcome))
    assert spent(recovered)[AGENT] == total
    assert sum(record.cost for record in recovered.invocations) == total
    assert [event.sequence for event in found] == list(range(1, len(found) + 1))

"""What stands beside a log of its runs is what its events say, or is named, on every place."""

import asyncio
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.postgresql import server
from tests.stores.ledger.event import START_US, change, intent, outcome, refusal
from tests.stores.verification.recording import opened

from ringfence.analysis.verification import Fault
from ringfence.app.storage import Storage, storage_at
from ringfence.stores.checkpoint import SigningKeys
from ringfence.stores.ledger import LedgerWriter
from ringfence.stores.ledger.attested import AttestedLog
from ringfence.stores.verification import Kept, Outside, Report, verify_folder
from ringfence.stores.verification.run import examine_runs
from ringfence.testing.ids import SequentialIds


@dataclass(frozen=True)
class Written:
    """A plane's folder, where it keeps its ledger, and how that is changed behind its back."""

    folder: Path
    storage: Storage
    run: Callable[[str], object]

    def wrong(self, *, is_partial: bool = False) -> list[tuple[str, str]]:
        with closing(self.storage.logs()) as logs:
            (log_id,) = logs.ids()
            with closing(logs.read(log_id)) as rows:
                found = examine_runs(rows, is_partial=is_partial)
                return [(each.id, each.text) for each in found]

    def verified(self) -> Report:
        kept = Kept(
            logs=self.storage.logs(), shelves=self.storage.shelves(), owns=self.storage.owns
        )
        return verify_folder(self.folder, Outside(), is_running=False, kept=kept)


@pytest.fixture(params=["sqlite", "postgresql"])
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Written:
    if request.param == "sqlite":
        storage = storage_at(tmp_path, "sqlite")

        def run(statement: str) -> object:
            (log_id,) = storage.logs().ids()
            with opened(tmp_path, log_id) as connection, connection:
                return connection.execute(statement.replace("ledger_", "")).rowcount
    else:
        url = request.getfixturevalue("postgresql_url")
        storage = storage_at(tmp_path, url)

        def run(statement: str) -> object:
            return server.execute(url, statement)

    asyncio.run(_write(tmp_path, storage))
    return Written(tmp_path, storage, run)


async def _write(folder: Path, storage: Storage) -> None:
    """A run that was declared, its child, one that ended, and a call without outcome."""
    ids, keys = SequentialIds(), SigningKeys(folder)
    logs = storage.logs()
    held = storage.take_log(logs, ids)
    log = AttestedLog.open(held, storage.logs, keys, lambda: START_US)
    writer = LedgerWriter(log)
    narrowing = '{"models":["small"]}'
    detail = {"agent": "agt_1", "credential": "crd_1", "grouping": "token", "depth": "0"}
    told = {**detail, "narrowing": narrowing, "token_digest": "ab" * 32, "deadline_us": "99"}
    declared = change("invocation.opened", "inv_1", detail=told)
    declared.invocation = declared.root = "inv_1"
    await writer.append(declared)
    for number in range(4):
        one = intent(f"act_{number}", invocation="inv_1")
        if number == 3:
            one.action_kind, one.resource = "tool.call", "crm__refund"
        await writer.intend(one)
        await writer.append(outcome(one, cost=10))
    await writer.append(refusal("act_no", invocation="inv_1"))
    await writer.intend(intent("act_8", invocation="inv_2"))
    ended = change("invocation.finished", "inv_3")
    ended.invocation = ended.root = "inv_3"
    done = intent("act_9", invocation="inv_3")
    await writer.intend(done)
    await writer.append(outcome(done))
    await writer.append(ended)
    await writer.settle()
    await writer.close()
    logs.close()


RUN = "UPDATE ledger_invocations SET {} WHERE id = 'inv_1'"


def test_what_was_left_alone_fits(written: Written) -> None:
    assert written.wrong() == []
    assert written.wrong(is_partial=True) == []
    faults = {each.fault for each in written.verified().findings}
    assert faults == {Fault.OUTCOME_MISSING}  # of the one call that has none


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        (RUN.format("steps = 1"), "its steps: 1 beside the log, 4 by its events"),
        (RUN.format("steps = 9"), "its steps: 9 beside the log, 4 by its events"),
        (RUN.format("refusals = 0"), "its refusals: 0 beside the log, 1 by its events"),
        (RUN.format("cost_nano = 1"), "its cost in nano-dollars: 1 beside the log"),
        (RUN.format("narrowing = ''"), "its narrowing beside the log is not what"),
        (RUN.format("token_digest = NULL"), "its token beside the log is not what"),
        (RUN.format("deadline_us = NULL"), "its deadline beside the log is not what"),
        (RUN.format("parent = 'inv_9'"), "its parent beside the log is not what"),
        (RUN.format("agent = 'agt_9'"), "its agent beside the log is not what"),
        ("DELETE FROM ledger_invocations WHERE id = 'inv_1'", "this run is missing"),
        (
            "UPDATE ledger_invocations SET state = 'open' WHERE id = 'inv_3'",
            "it is open beside the log, and finished by its events",
        ),
        (
            "UPDATE ledger_accounts SET spent_nano = 0 WHERE per = 'tree/tool_calls'",
            "tool_calls of its tree: 0 beside the log, 1 by its events",
        ),
        (
            "DELETE FROM ledger_accounts WHERE per = 'tree/tool_calls/crm__refund'",
            "tool_calls of its tree (crm__refund): 0 beside the log, 1 by its events",
        ),
        ("DELETE FROM ledger_pending", "it does not stand as a call without outcome"),
        ("UPDATE ledger_pending SET sequence = 2", "event 2 stands beside the log as a call"),
    ],
)
def test_what_was_changed_beside_the_log_is_named(
    written: Written, statement: str, named: str
) -> None:
    assert written.run(statement) != 0
    assert any(text.startswith(named) or named in text for _, text in written.wrong())
    report = written.verified()
    assert Fault.RUN_ALTERED in {each.fault for each in report.findings}


def test_what_an_agent_has_spent_in_all_is_no_limit_of_an_open_run(written: Written) -> None:
    changed = "UPDATE ledger_accounts SET per = 'total', window_us = 0 WHERE per = 'day'"
    assert written.run(changed) != 0
    assert written.wrong() == []
    # It is compared all the same: no event tells of it.
    assert Fault.RUN_ALTERED not in {each.fault for each in written.verified().findings}
    assert len(written.verified().findings) > 1


def test_where_events_were_deleted_a_run_may_have_done_more_and_never_less(
    written: Written,
) -> None:
    written.run(RUN.format("steps = 9"))
    assert written.wrong(is_partial=True) == []
    written.run(RUN.format("steps = 3"))
    assert written.wrong(is_partial=True) != []


def test_many_runs_are_compared_in_parts(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringfence.stores.verification.run._RUNS_AT_ONCE", 1)
    assert written.wrong() == []
    written.run("DELETE FROM ledger_invocations WHERE id = 'inv_2'")
    written.run(RUN.format("steps = 1"))
    assert {each for each, _ in written.wrong()} == {"inv_1", "inv_2"}

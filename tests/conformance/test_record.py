"""The signed record on every place: verified, tampered with, exported, held, deleted from."""

import asyncio
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.postgresql import server
from tests.stores.ledger.event import START_US, change, intent, outcome
from tests.stores.verification.recording import opened

from ringfence.analysis.verification import Fault
from ringfence.app.storage import Storage, storage_at
from ringfence.stores.body import Body, BodyReader, BodyStore, Part
from ringfence.stores.checkpoint import SigningKeys
from ringfence.stores.hold import Hold
from ringfence.stores.ledger import LedgerReader, LedgerWriter
from ringfence.stores.ledger.attested import AttestedLog
from ringfence.stores.ledger.query import Filter
from ringfence.stores.retention import Retention, Term
from ringfence.stores.verification import (
    ExportEvidence,
    Kept,
    Outside,
    Report,
    prove,
    verify_export,
    verify_folder,
    verify_proof,
)
from ringfence.testing.ids import SequentialIds

CALLS = 40
HALF_US = START_US + CALLS // 2
IDS = SequentialIds()


@dataclass(frozen=True)
class Record:
    """A plane's data folder and where it keeps its stores; `run` changes the ledger behind it."""

    folder: Path
    storage: Storage
    run: Callable[[str], list[tuple[object, ...]]]

    def verified(self, outside: Outside | None = None) -> Report:
        kept = Kept(
            logs=self.storage.logs(), shelves=self.storage.shelves(), owns=self.storage.owns
        )
        return verify_folder(self.folder, outside or Outside(), is_running=False, kept=kept)

    def faults(self) -> set[Fault]:
        return {one.fault for one in self.verified().findings}

    def delete(self, term: Term, now_us: int) -> tuple[int, int]:
        """Run retention; gives how many bodies and events went."""
        steps = list(Retention(self.keys, self.storage).run({"org_a": term}, now_us))
        deleted = [one for step in steps for one in step.values()]
        spans = [span for one in deleted for span in one.events]
        bodies = sum(one.bodies for one in deleted)
        return bodies, sum(span.last - span.first + 1 for span in spans)

    @property
    def keys(self) -> SigningKeys:
        return SigningKeys(self.folder)

    def trusted(self) -> Outside:
        return Outside(key=self.keys.current().verifier())

    def tasks(self) -> list[tuple[object, ...]]:
        """What the derived tables know of the task that was declared."""
        return self.run("SELECT task FROM ledger_invocations WHERE id = 'inv_task'")

    def leaves(self) -> list[bytes]:
        with closing(LedgerReader(self.storage.logs())) as reader:
            asked = Filter(organisation="org_a", is_newest_first=False)
            return [one.leaf for one in reader.query(asked)]


@pytest.fixture(params=["sqlite", "postgresql"])
def record(request: pytest.FixtureRequest, tmp_path: Path) -> Record:
    if request.param == "sqlite":

        def run(statement: str) -> list[tuple[object, ...]]:
            (log_id,) = made.storage.logs().ids()
            with opened(tmp_path, log_id) as connection:
                return connection.execute(statement.replace("ledger_", "")).fetchall()

        made = Record(tmp_path, storage_at(tmp_path, "sqlite"), run)
    else:
        url = request.getfixturevalue("postgresql_url")
        storage = storage_at(tmp_path, url)
        made = Record(tmp_path, storage, lambda statement: server.execute(url, statement))
    asyncio.run(written(made))
    return made


async def written(made: Record, *, first: int = 0, calls: int = CALLS) -> None:
    """Calls with their messages, each in a group of its own, as a plane keeps them."""
    logs = made.storage.logs()
    held = made.storage.take_log(logs, IDS)
    log = AttestedLog.open(held, made.storage.logs, made.keys, lambda: START_US)
    bodies = BodyStore.open(made.storage.shelves())
    writer = LedgerWriter(log, bodies)
    opened_ = change("invocation.opened", "inv_task", time_us=START_US + first)
    opened_.invocation = opened_.root = "inv_task"
    opened_.detail = {"task": "call Jane", "agent": "agt_1"}
    await writer.append(opened_)
    for number in range(first, first + calls):
        one = intent(f"act_{number}", invocation=f"inv_{number}", time_us=START_US + number)
        await writer.intend(one, Body(b"question %d" % number))
        writer.record(outcome(one), Body(b"answer %d" % number))
        await writer.flush()
    await writer.append(change("agent.suspended", "agt_9", time_us=START_US + first + calls))
    await writer.settle()
    await writer.close()
    bodies.close()
    logs.close()


async def told(made: Record, *, time_us: int = START_US, later: int = 3) -> None:
    """One more run, whose task is a message, as an agent declares it."""
    logs = made.storage.logs()
    held = made.storage.take_log(logs, IDS)
    log = AttestedLog.open(held, made.storage.logs, made.keys, lambda: START_US)
    bodies = BodyStore.open(made.storage.shelves())
    writer = LedgerWriter(log, bodies)
    opened_ = change("invocation.opened", "inv_said", time_us=time_us)
    opened_.invocation = opened_.root = "inv_said"
    opened_.detail = {"agent": "agt_said"}
    await writer.append(opened_, Body(b"call Joan"))
    for number in range(later):
        await writer.append(change("agent.suspended", f"agt_{number}", time_us=START_US + 900))
    await writer.settle()
    await writer.close()
    bodies.close()
    logs.close()


def said(made: Record, action: str) -> bytes | None:
    with closing(BodyReader(made.storage.shelves())) as reader:
        return reader.get("org_a", action, Part.REQUEST)


def test_a_record_with_its_messages_verifies(record: Record) -> None:
    report = record.verified(record.trusted())
    assert report.holds, report.findings
    assert (report.logs, report.events, report.bodies) == (1, 2 * CALLS + 2, 2 * CALLS)


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("DELETE FROM ledger_segments WHERE first = 3", Fault.MISSING),
        ("DELETE FROM ledger_segments WHERE first > 61", Fault.TRUNCATED),
        (
            """UPDATE ledger_segments SET leaves =
                (SELECT leaves FROM ledger_segments WHERE first = 3) WHERE first = 5""",
            Fault.DUPLICATED,
        ),
        ("UPDATE ledger_segments SET high_us = high_us + 1 WHERE first = 5", Fault.INDEX_ALTERED),
    ],
)
def test_what_was_done_to_it_is_named(record: Record, statement: str, fault: Fault) -> None:
    record.run(statement)
    assert fault in record.faults()


def test_an_erased_message_is_gone_and_the_record_holds(record: Record) -> None:
    with closing(record.storage.shelves()) as shelves:
        assert shelves.erase("org_a", ["act_3", "act_4"]) == 4
    assert said(record, "act_3") is None
    assert said(record, "act_5") == b"question 5"
    report = record.verified()
    assert report.holds, report.findings
    assert report.bodies_absent == 4


def test_messages_past_their_term_go_and_their_events_stay(record: Record) -> None:
    assert record.delete(Term(body_us=20), HALF_US + 20) == (CALLS, 0)
    report = record.verified()
    assert report.holds, report.findings
    assert (report.events, report.bodies_absent) == (2 * CALLS + 2, CALLS)
    assert (said(record, "act_0"), said(record, f"act_{CALLS - 1}") is None) == (None, False)


def test_events_past_their_term_go_and_the_rest_verifies(record: Record) -> None:
    before = record.leaves()
    assert record.tasks() == [("call Jane",)]
    bodies, events = record.delete(Term(event_us=20), HALF_US + 20)
    assert bodies >= CALLS - 2
    assert CALLS - 6 <= events <= CALLS
    assert record.leaves() == before[events:]
    assert record.tasks() == [("",)]
    report = record.verified()
    assert report.holds, report.findings
    assert any("deleted by retention" in each for each in report.remarks)
    assert record.delete(Term(event_us=20), HALF_US + 20) == (0, 0)
    asyncio.run(written(record, first=CALLS, calls=3))
    assert record.verified().holds
    record.run("DELETE FROM ledger_segments WHERE first = 62")
    assert Fault.MISSING in record.faults()


def test_a_task_is_a_message_that_verifies_and_can_be_erased(record: Record) -> None:
    asyncio.run(told(record))
    assert said(record, "inv_said") == b"call Joan"
    assert b"Joan" not in b"\n".join(record.leaves())
    report = record.verified()
    assert (report.holds, report.bodies, report.bodies_absent) == (True, 2 * CALLS + 1, 0)
    with closing(record.storage.shelves()) as shelves:
        assert shelves.erase("org_a", ["inv_said"]) == 1
    report = record.verified()
    assert (report.holds, report.bodies_absent) == (True, 1)


def test_a_task_that_was_altered_is_named(record: Record) -> None:
    asyncio.run(told(record))
    with closing(record.storage.shelves()) as shelves:
        shelves.erase("org_a", ["inv_said"])
    forged = BodyStore.open(record.storage.shelves())
    entry = forged.admit("org_a", "inv_said", Part.REQUEST, "inv_said", Body(b"call John"))
    assert entry is not None
    forged.put([entry])
    forged.close()
    (finding,) = record.verified().findings
    assert (finding.fault, finding.id) == (Fault.BODY_ALTERED, "change inv_said")


@pytest.mark.parametrize("subject", ["agent:agt_said", "invocation:inv_said"])
def test_a_task_goes_with_its_term_unless_it_is_held(record: Record, subject: str) -> None:
    asyncio.run(told(record))
    holds = record.storage.holds("org_a")
    holds.place(Hold(subject=subject, reason="case", actor="user:a", time_us="1"))
    record.delete(Term(body_us=20, event_us=30), START_US + 500)
    assert said(record, "inv_said") == b"call Joan"
    assert b"inv_said" in b"\n".join(record.leaves())
    holds.release(subject)
    record.delete(Term(body_us=20), START_US + 500)
    assert said(record, "inv_said") is None
    assert b"inv_said" in b"\n".join(record.leaves())
    assert record.verified().holds


def test_what_is_held_stays_until_it_is_released(record: Record) -> None:
    holds = record.storage.holds("org_a")
    holds.place(Hold(subject="invocation:inv_2", reason="case", actor="user:a", time_us="1"))
    record.delete(Term(body_us=20, event_us=20), HALF_US + 20)
    assert said(record, "act_2") == b"question 2"
    assert b"act_2" in b"\n".join(record.leaves())
    assert record.verified().holds
    holds.release("invocation:inv_2")
    assert record.delete(Term(event_us=20), HALF_US + 20)[0] == 2
    assert said(record, "act_2") is None
    assert record.verified().holds


def test_an_export_and_a_proof_verify_elsewhere(record: Record, tmp_path: Path) -> None:
    evidence = ExportEvidence(record.keys, "org_a", is_whole=True)
    leaves = record.leaves()
    for leaf in leaves:
        evidence.add(leaf)
    path = tmp_path / "export"
    path.write_bytes(b"".join([*(leaf + b"\n" for leaf in leaves), *evidence.lines()]))
    report = verify_export(path, record.trusted())
    assert report.holds, report.findings
    assert report.events == len(leaves)
    proof = prove(record.folder, leaves[7])
    assert verify_proof(proof, record.trusted()).holds
    path.write_bytes(path.read_bytes().replace(leaves[7] + b"\n", b""))
    assert not verify_export(path, record.trusted()).holds


def test_a_log_that_somebody_put_in_is_named(record: Record) -> None:
    """In a database it may be another plane's: then it is said that nothing here vouches for it."""
    logs = record.storage.logs()
    held = logs.take("log_9")
    with held.writing():
        pass
    held.release()
    logs.close()
    report = record.verified()
    if record.storage.owns("log_9"):
        assert Fault.LOG_UNLISTED in {one.fault for one in report.findings}
    else:
        assert report.holds, report.findings
        assert any("`log_9` is not of this data folder" in each for each in report.remarks)


def test_of_a_log_that_is_not_its_own_no_events_are_deleted(
    record: Record, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Only the folder that made a log can say that something was deleted from it on purpose."""
    if record.storage.owns("log_9"):
        return
    other = Record(
        tmp_path / "other",
        storage_at(tmp_path / "other", request.getfixturevalue("postgresql_url")),
        record.run,
    )
    other.folder.mkdir()
    asyncio.run(written(other, first=CALLS, calls=2))
    before = len(record.leaves())
    bodies, events = other.delete(Term(event_us=20), HALF_US + 20)
    assert (bodies, events) == (CALLS, 0)
    assert len(record.leaves()) == before
    assert record.verified().holds
    assert other.verified().holds

"""What is past its term goes, what is held stays, and the record verifies all the while."""

import asyncio
from functools import partial
from itertools import islice
from pathlib import Path

import pytest
from tests.stores.ledger.event import START_US, intent, outcome
from tests.stores.verification.recording import LOG, opened, record

from ringfence.analysis.verification import Fault
from ringfence.app.storage import Files
from ringfence.stores.body import Body, BodyReader, BodyStore, Part
from ringfence.stores.checkpoint import SigningKeys
from ringfence.stores.checkpoint.deletion import deleted
from ringfence.stores.checkpoint.place import deletions_path
from ringfence.stores.hold import FileHolds, Hold
from ringfence.stores.ledger import LedgerWriter, SqliteLogs
from ringfence.stores.ledger.attested import AttestedLog
from ringfence.stores.ledger.query import Filter
from ringfence.stores.ledger.reader import LedgerReader
from ringfence.stores.retention import Retention, Term
from ringfence.stores.verification import Outside, Report, verify_folder

COUNT = 600
HALF_US = START_US + COUNT // 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    record(tmp_path, COUNT, most=9)
    return tmp_path


def run(folder: Path, terms: dict[str, Term], now_us: int = HALF_US + 100) -> int:
    """Delete; gives how many events that were."""
    steps = list(Retention(SigningKeys(folder), Files(folder)).run(terms, now_us))
    spans = {span for step in steps for one in step.values() for span in one.events}
    return sum(span.last - span.first + 1 for span in spans)


def verified(folder: Path) -> Report:
    return verify_folder(folder, Outside(), is_running=False)


def left(folder: Path) -> int:
    reader = LedgerReader(folder)
    try:
        asked = Filter(organisation="org_a", is_newest_first=False)
        return sum(1 for _ in reader.query(asked))
    finally:
        reader.close()


def test_events_past_their_term_go_and_the_rest_verifies(folder: Path) -> None:
    before = left(folder)
    gone = run(folder, {"org_a": Term(event_us=100)})
    assert 200 < gone <= 300
    assert left(folder) == before - gone
    spans = deleted(folder, LOG)
    assert spans[0].first == 1
    assert sum(span.last - span.first + 1 for span in spans) == gone
    report = verified(folder)
    assert report.holds, report.findings
    assert any("deleted by retention" in each for each in report.remarks)
    assert run(folder, {"org_a": Term(event_us=100)}) == 0
    assert run(folder, {"org_a": Term(event_us=50)}) > 0
    assert verified(folder).holds
    record(folder, 50, seed=5)
    assert verified(folder).holds


def test_times_are_found_over_what_was_deleted(folder: Path) -> None:
    run(folder, {"org_a": Term(event_us=100)})
    reader = LedgerReader(folder)
    for since_us in (0, START_US, HALF_US, HALF_US + 200, START_US + 10 * COUNT):
        asked = Filter(organisation="org_a", since_us=since_us, is_newest_first=False)
        times = [one.place.time_us for one in reader.query(asked)]
        assert times == sorted(times)
        assert bool(times) is (since_us < START_US + 2 * COUNT)
    reader.close()


def test_the_newest_group_stays_however_old_it_is(folder: Path) -> None:
    run(folder, {"org_a": Term(event_us=1)}, START_US * 2)
    assert left(folder) > 0
    assert verified(folder).holds
    record(folder, 20, seed=6)
    assert verified(folder).holds


def test_what_another_organisation_keeps_stays_with_its_group(folder: Path) -> None:
    assert run(folder, {"org_b": Term(event_us=1)}) == 0
    assert run(folder, {"org_a": Term(body_us=1)}) == 0
    assert left(folder) > COUNT - 5


# Changes that people make are of no agent.
@pytest.mark.parametrize(("subject", "most"), [("organisation", 0), ("agent:agt_1", 20)])
def test_what_is_held_stays_until_it_is_released(subject: str, most: int, folder: Path) -> None:
    holds = FileHolds(folder, "org_a")
    holds.place(Hold(subject=subject, reason="case", actor="user:a", time_us="1"))
    assert run(folder, {"org_a": Term(event_us=100)}) <= most
    holds.release(subject)
    assert run(folder, {"org_a": Term(event_us=100)}) > 200


def test_a_hold_that_is_placed_during_a_pass_holds_from_then_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringfence.stores.retention._AT_ONCE", 5)
    place = Files(folder)
    steps = Retention(SigningKeys(folder), place).run({"org_a": Term(event_us=100)}, HALF_US + 100)
    list(islice(steps, 3))
    before = left(folder)
    held = Hold(subject="organisation", reason="case", actor="user:a", time_us="1")
    place.holds("org_a").place(held)
    list(steps)
    assert left(folder) == before


def test_a_held_invocation_leaves_holes_that_verify(folder: Path) -> None:
    holds = FileHolds(folder, "org_a")
    holds.place(Hold(subject="invocation:inv_7", reason="case", actor="user:a", time_us="1"))
    assert run(folder, {"org_a": Term(event_us=100)}) > 0
    assert len(deleted(folder, LOG)) > 1
    report = verified(folder)
    assert report.holds, report.findings
    reader = LedgerReader(folder)
    for since_us in range(START_US, START_US + COUNT, 37):
        list(reader.query(Filter(organisation="org_a", since_us=since_us, is_newest_first=False)))
    reader.close()


def test_what_goes_beside_it_is_still_missed(folder: Path) -> None:
    run(folder, {"org_a": Term(event_us=100)})
    with opened(folder) as connection:
        beside = deleted(folder, LOG)[-1].last + 1
        connection.execute("DELETE FROM segments WHERE first = ?", (beside,))
    assert Fault.MISSING in {one.fault for one in verified(folder).findings}


def test_a_list_that_was_removed_excuses_nothing(folder: Path) -> None:
    run(folder, {"org_a": Term(event_us=100)})
    deletions_path(folder, LOG).unlink()
    assert Fault.MISSING in {one.fault for one in verified(folder).findings}


async def talked(folder: Path) -> None:
    """Three calls with messages, as a plane keeps them."""
    logs = partial(SqliteLogs, folder)
    bodies = BodyStore.open(folder)
    log = AttestedLog.open(logs().take(LOG), logs, SigningKeys(folder), lambda: START_US)
    writer = LedgerWriter(log, bodies)
    for number in range(3):
        one = intent(f"act_{number}", time_us=START_US + number)
        await writer.intend(one, Body(b"question %d" % number))
        writer.record(outcome(one), Body(b"answer %d" % number))
        await writer.flush()
    await writer.close()
    bodies.close()


def test_messages_past_their_term_go_and_their_events_stay(tmp_path: Path) -> None:
    asyncio.run(talked(tmp_path))
    whole = verified(tmp_path)
    assert whole.holds, whole.findings
    assert (whole.events, whole.bodies) == (6, 6)
    steps = list(
        Retention(SigningKeys(tmp_path), Files(tmp_path)).run(
            {"org_a": Term(body_us=10)}, START_US + 12
        )
    )
    assert [one.bodies for step in steps for one in step.values()] == [4]
    report = verified(tmp_path)
    assert report.holds, report.findings
    assert (report.events, report.bodies, report.bodies_absent) == (6, 2, 4)
    reader = BodyReader(tmp_path)
    assert reader.get("org_a", "act_0", Part.REQUEST) is None
    assert reader.get("org_a", "act_2", Part.RESPONSE) == b"answer 2"
    reader.close()


def test_a_pass_reads_nothing_again_whose_messages_have_gone(tmp_path: Path) -> None:
    asyncio.run(talked(tmp_path))
    retention, terms = Retention(SigningKeys(tmp_path), Files(tmp_path)), {"org_a": Term(body_us=1)}
    assert list(retention.run(terms, START_US + 12))
    assert not list(retention.run(terms, START_US + 13))
    assert list(retention.run({"org_a": Term(body_us=1, event_us=9)}, START_US + 13))


def erased(retention: Retention) -> int:
    steps = retention.run({"org_a": Term(body_us=1)}, START_US + 12)
    return sum(one.bodies for step in steps for one in step.values())


def test_messages_that_were_held_go_once_they_are_released(tmp_path: Path) -> None:
    asyncio.run(talked(tmp_path))
    retention, holds = (
        Retention(SigningKeys(tmp_path), Files(tmp_path)),
        FileHolds(tmp_path, "org_a"),
    )
    held = Hold(subject="organisation", reason="case", actor="user:a", time_us="1")
    holds.place(held)
    assert erased(retention) == 0
    holds.release(held.subject)
    assert erased(retention) == 6


def test_messages_that_were_held_for_a_part_of_a_pass_go_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringfence.stores.retention._AT_ONCE", 1)
    asyncio.run(talked(tmp_path))
    retention, holds = (
        Retention(SigningKeys(tmp_path), Files(tmp_path)),
        FileHolds(tmp_path, "org_a"),
    )
    held = Hold(subject="organisation", reason="case", actor="user:a", time_us="1")
    steps = retention.run({"org_a": Term(body_us=1)}, START_US + 12)
    first = sum(one.bodies for one in next(steps).values())
    holds.place(held)
    list(islice(steps, 3))
    holds.release(held.subject)
    rest = sum(one.bodies for step in steps for one in step.values())
    assert first + rest < 6
    assert first + rest + erased(retention) == 6

import asyncio
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.stores.ledger.event import change, intent, outcome, refusal

from ringfence.domain.error import UnavailableError
from ringfence.domain.event import Intent
from ringfence.stores.body import Body, BodyReader, BodyStore, Part
from ringfence.stores.ledger.fence import Fence, log_path
from ringfence.stores.ledger.format import decode
from ringfence.stores.ledger.segment import GROUP, following
from ringfence.stores.ledger.writer import LedgerWriter


@asynccontextmanager
async def writing(folder: Path, bodies: BodyStore | None = None) -> AsyncIterator[LedgerWriter]:
    writer = LedgerWriter.open(Fence.take(folder, "log_1"), bodies=bodies)
    try:
        yield writer
    finally:
        await writer.close()


def look(folder: Path) -> sqlite3.Connection:
    return sqlite3.connect(log_path(folder, "log_1"))


def groups(folder: Path) -> list[list[bytes]]:
    connection = look(folder)
    try:
        return [list(part.leaves) for part in following(connection, 0)]
    finally:
        connection.close()


def actions(folder: Path) -> list[str]:
    events = (decode(leaf) for group in groups(folder) for leaf in group)
    return [getattr(event, "action", "") for event in events]


def test_an_intent_is_in_the_file_when_its_future_ends(tmp_path: Path) -> None:
    async def run() -> None:
        async with writing(tmp_path) as writer:
            await writer.intend(intent("act_1"))
            assert actions(tmp_path) == ["act_1"]

    asyncio.run(run())


def test_an_outcome_that_an_intent_takes_along_costs_no_commit_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringfence.stores.ledger.writer._LINGER_S", 0.3)

    async def run() -> None:
        async with writing(tmp_path) as writer:
            for number in range(25):  # each outcome lingers for 15 ms, together longer than one may
                one = intent(f"act_{number}")
                await writer.intend(one)
                writer.record(outcome(one))
                await asyncio.sleep(0.015)
            assert writer.groups == 25

    asyncio.run(run())


def test_events_are_numbered_and_named_by_the_writer(tmp_path: Path) -> None:
    async def run() -> None:
        async with writing(tmp_path) as writer:
            one = intent("act_1")
            await writer.intend(one)
            writer.record(outcome(one))
            writer.record(refusal("act_2"))
            await writer.append(change("agent.suspended", "agt_1"))

    asyncio.run(run())
    events = [decode(leaf) for group in groups(tmp_path) for leaf in group]
    assert [event.sequence for event in events] == [1, 2, 3, 4]
    assert {event.log for event in events} == {"log_1"}


def test_numbering_goes_on_where_it_stopped(tmp_path: Path) -> None:
    async def run(action: str) -> None:
        async with writing(tmp_path) as writer:
            await writer.intend(intent(action))

    asyncio.run(run("act_1"))
    asyncio.run(run("act_2"))
    events = [decode(leaf) for group in groups(tmp_path) for leaf in group]
    assert [event.sequence for event in events] == [1, 2]


def test_what_arrives_together_is_committed_together_up_to_a_bound(tmp_path: Path) -> None:
    count = 5 * GROUP

    async def run() -> None:
        async with writing(tmp_path) as writer:
            await asyncio.gather(*(writer.intend(intent(f"act_{n}")) for n in range(count)))
            assert writer.events == count
            assert writer.groups < count / 10

    asyncio.run(run())
    sizes = [len(group) for group in groups(tmp_path)]
    assert sum(sizes) == count
    assert max(sizes) <= GROUP


def test_records_wait_for_company_and_an_intent_does_not(tmp_path: Path) -> None:
    async def run() -> None:
        async with writing(tmp_path) as writer:
            one = intent("act_1")
            await writer.intend(one)
            writer.record(outcome(one))
            await writer.intend(intent("act_2"))

    asyncio.run(run())
    assert [len(group) for group in groups(tmp_path)] == [1, 2]


def test_records_alone_are_written_soon(tmp_path: Path) -> None:
    async def run() -> None:
        async with writing(tmp_path) as writer:
            writer.record(refusal("act_1"))
            while not writer.events:  # noqa: ASYNC110 (the bound is the test's own timeout)
                await asyncio.sleep(0.005)

    asyncio.run(asyncio.wait_for(run(), 60))
    assert actions(tmp_path) == ["act_1"]


def test_flushing_writes_all_events(tmp_path: Path) -> None:
    async def run() -> None:
        async with writing(tmp_path) as writer:
            for n in range(3 * GROUP):
                writer.record(refusal(f"act_{n}"))
            await writer.flush()
            assert len(actions(tmp_path)) == 3 * GROUP

    asyncio.run(run())


def test_a_listener_hears_of_events_that_are_durable_and_before_those_who_wait(
    tmp_path: Path,
) -> None:
    async def run() -> None:
        heard: list[str] = []
        async with writing(tmp_path) as writer:
            writer.listen(lambda events: heard.extend(type(each).__name__ for each in events))
            one = intent("act_1")
            writer.intend(one).add_done_callback(lambda _: heard.append("told"))
            await writer.flush()
            writer.record(outcome(one))
            writer.record(outcome(one))  # a second is refused, and nobody hears of it
            assert heard == ["Intent", "told"]
            await writer.flush()
        assert heard == ["Intent", "told", "Outcome"]

    asyncio.run(run())


def test_settling_writes_all_events_and_what_is_derived(tmp_path: Path) -> None:
    async def run() -> None:
        async with writing(tmp_path) as writer:
            for n in range(3 * GROUP):
                writer.record(refusal(f"act_{n}"))
            await writer.settle()
            connection = look(tmp_path)
            assert connection.execute("SELECT refusals FROM invocations").fetchall() == [(300,)]
            assert connection.execute("SELECT projected FROM log").fetchone() == (300,)
            connection.close()

    asyncio.run(run())


def test_closing_writes_what_is_left(tmp_path: Path) -> None:
    async def run() -> None:
        writer = LedgerWriter.open(Fence.take(tmp_path, "log_1"))
        waiting = writer.intend(intent("act_1"))
        writer.record(refusal("act_2"))
        await writer.close()
        assert waiting.done()
        with pytest.raises(UnavailableError):
            await writer.intend(intent("act_3"))
        writer.record(refusal("act_4"))
        assert writer.lost == 1

    asyncio.run(run())
    assert sorted(actions(tmp_path)) == ["act_1", "act_2"]
    Fence.take(tmp_path, "log_1").release()
    assert [path.name for path in (tmp_path / "ledger").glob("*-wal")] == []


def test_an_intent_gets_one_outcome_and_never_a_second(tmp_path: Path) -> None:
    async def run() -> None:
        async with writing(tmp_path) as writer:
            one = intent("act_1")
            await writer.intend(one)
            await writer.append(outcome(one))
            await writer.intend(intent("act_2"))
            for second in (outcome(one), outcome(intent("act_9")), intent("act_2")):
                with pytest.raises(UnavailableError, match="cannot be written"):
                    await writer.append(second)
            writer.record(outcome(one))
            await writer.flush()
            assert writer.lost == 1
            assert writer.failure is None

    asyncio.run(run())
    assert actions(tmp_path) == ["act_1", "act_1", "act_2"]


def test_an_event_that_cannot_be_encoded_harms_no_other(tmp_path: Path) -> None:
    async def run() -> None:
        async with writing(tmp_path) as writer:
            bad = writer.intend(intent("act_1", client="\ud800"))
            good = [writer.intend(intent(f"act_{n}")) for n in range(2, 6)]
            await asyncio.gather(*good)
            with pytest.raises(UnavailableError, match="cannot be written"):
                await bad
            writer.record(refusal("act_6", code="\ud800"))
            await writer.flush()
            assert (writer.lost, writer.failure) == (1, None)

    asyncio.run(run())
    events = [decode(leaf) for group in groups(tmp_path) for leaf in group]
    assert [event.sequence for event in events] == [1, 2, 3, 4]


def test_bodies_are_committed_to_and_kept(tmp_path: Path) -> None:
    async def run() -> None:
        bodies = BodyStore.open(tmp_path)
        async with writing(tmp_path, bodies) as writer:
            one = intent("act_1")
            await writer.intend(one, Body(b"what is asked"))
            await writer.append(outcome(one), Body(b"what is said"))
            await writer.append(refusal("act_2"), Body(b"what is refused"))
        bodies.close()

    asyncio.run(run())
    reader = BodyReader(tmp_path)
    asked, said, refused = (decode(leaf) for group in groups(tmp_path) for leaf in group)
    assert reader.get("org_a", "act_1", Part.REQUEST) == b"what is asked"
    assert reader.holds("org_a", "act_1", Part.REQUEST, getattr(asked, "body", ""))
    assert reader.holds("org_a", "act_1", Part.RESPONSE, getattr(said, "body", ""))
    assert reader.holds("org_a", "act_2", Part.REQUEST, getattr(refused, "body", ""))
    assert getattr(asked, "body_bytes", 0) == len(b"what is asked")
    assert not reader.holds("org_a", "act_1", Part.RESPONSE, getattr(asked, "body", ""))
    reader.close()


def test_without_room_for_a_body_the_intent_is_written_and_says_so(tmp_path: Path) -> None:
    async def run() -> None:
        bodies = BodyStore.open(tmp_path, limit_bytes=10)
        async with writing(tmp_path, bodies) as writer:
            await writer.intend(intent("act_1"), Body(b"much too long a body"))
        bodies.close()
        assert bodies.not_stored == 1

    asyncio.run(run())
    ((leaf,),) = groups(tmp_path)
    event = decode(leaf)
    assert (getattr(event, "body", None), getattr(event, "body_bytes", 0)) == ("", 20)


async def healthy(writer: LedgerWriter) -> None:
    while writer.failure is not None:  # noqa: ASYNC110 (the bound is the caller's timeout)
        await asyncio.sleep(0.01)


def test_a_locked_log_refuses_intents_and_comes_back(tmp_path: Path) -> None:
    async def run() -> None:
        async with writing(tmp_path) as writer:
            one = intent("act_1")
            await writer.intend(one)
            await writer.flush()
            thief = look(tmp_path)
            thief.execute("BEGIN IMMEDIATE")
            writer.record(outcome(one))
            with pytest.raises(UnavailableError) as caught:
                await writer.intend(intent("act_2"))
            assert caught.value.code == "store_unavailable"
            assert writer.failure is not None
            with pytest.raises(UnavailableError):
                await asyncio.wait_for(writer.intend(intent("act_3")), 0.05)
            thief.rollback()
            thief.close()
            await asyncio.wait_for(healthy(writer), 60)
            await writer.intend(intent("act_4"))

    asyncio.run(run())
    assert actions(tmp_path) == ["act_1", "act_1", "act_4"]
    events = [decode(leaf) for group in groups(tmp_path) for leaf in group]
    assert [event.sequence for event in events] == [1, 2, 3]


def test_what_waits_for_a_locked_log_is_written_if_it_comes_back_while_closing(
    tmp_path: Path,
) -> None:
    async def run() -> None:
        writer = LedgerWriter.open(Fence.take(tmp_path, "log_1"))
        one = intent("act_1")
        await writer.intend(one)
        thief = look(tmp_path)
        thief.execute("BEGIN IMMEDIATE")
        writer.record(outcome(one))
        with pytest.raises(UnavailableError):
            await writer.intend(intent("act_2"))
        assert writer.failure is not None
        closing = asyncio.create_task(writer.close())
        await asyncio.sleep(0.2)
        thief.rollback()
        thief.close()
        await closing
        assert writer.lost == 0

    asyncio.run(run())
    assert actions(tmp_path) == ["act_1", "act_1"]


def test_a_log_that_stays_locked_is_given_up_and_the_loss_is_told(tmp_path: Path) -> None:
    async def run() -> None:
        writer = LedgerWriter.open(Fence.take(tmp_path, "log_1"))
        one = intent("act_1")
        await writer.intend(one)
        thief = look(tmp_path)
        thief.execute("BEGIN IMMEDIATE")
        writer.record(outcome(one))
        with pytest.raises(UnavailableError):
            await asyncio.wait_for(writer.close(), 60)
        assert writer.lost == 1
        thief.rollback()
        thief.close()

    asyncio.run(run())
    Fence.take(tmp_path, "log_1").release()


def test_a_full_disk_refuses_intents_keeps_outcomes_and_comes_back(tmp_path: Path) -> None:
    async def run() -> None:
        async with writing(tmp_path) as writer:
            one = intent("act_1")
            await writer.intend(one)
            await writer.flush()
            limits = resource.getrlimit(resource.RLIMIT_FSIZE)
            before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            (ahead,) = (tmp_path / "ledger").glob("*-wal")
            resource.setrlimit(resource.RLIMIT_FSIZE, (ahead.stat().st_size, limits[1]))
            try:
                writer.record(outcome(one))
                with pytest.raises(UnavailableError):
                    await writer.intend(intent("act_2"))
                assert writer.failure is not None
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)
                signal.signal(signal.SIGXFSZ, before)
            await asyncio.wait_for(healthy(writer), 60)
            await writer.intend(intent("act_3"))
            await writer.flush()
            assert writer.lost == 0

    asyncio.run(run())
    assert actions(tmp_path) == ["act_1", "act_1", "act_3"]


def test_while_the_log_is_away_outcomes_are_kept_and_refusals_up_to_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringfence.stores.ledger.line._BACKLOG", 3)

    async def run() -> None:
        async with writing(tmp_path) as writer:
            started = [intent(f"act_{n}") for n in range(5)]
            await asyncio.gather(*map(writer.intend, started))
            await writer.flush()
            thief = look(tmp_path)
            thief.execute("BEGIN IMMEDIATE")
            for n in range(5):
                writer.record(refusal(f"ref_{n}"))
            for one in started:
                writer.record(outcome(one))
            assert writer.lost == 2
            thief.rollback()
            thief.close()
            await writer.flush()

    asyncio.run(run())
    assert sorted(actions(tmp_path)) == sorted(
        [f"act_{n}" for n in range(5)] * 2 + ["ref_0", "ref_1", "ref_2"]
    )


def test_a_writer_whose_loop_is_gone_still_writes(tmp_path: Path) -> None:
    writer = LedgerWriter.open(Fence.take(tmp_path, "log_1"))

    async def forget() -> None:
        writer.intend(intent("act_1"))

    asyncio.run(forget())
    asyncio.run(writer.close())
    assert actions(tmp_path) == ["act_1"]


_LOADED = """
import asyncio, sys
from pathlib import Path
from ringfence.stores.ledger import Fence, LedgerWriter
from tests.stores.ledger.event import intent, outcome

async def work(writer, worker):
    for step in range(10_000):
        one = intent(f"act_{worker}_{step}", invocation=f"inv_{worker}")
        await writer.intend(one)
        print(one.action, flush=True)
        if step % 3:
            writer.record(outcome(one, cost=7))

async def main():
    writer = LedgerWriter.open(Fence.take(Path(sys.argv[1]), "log_1"))
    await asyncio.gather(*(work(writer, worker) for worker in range(8)))

asyncio.run(main())
"""


def test_every_acknowledged_intent_survives_a_kill(tmp_path: Path) -> None:
    child = subprocess.Popen(  # noqa: S603 (this interpreter, our own text)
        [sys.executable, "-c", _LOADED, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    with child:
        assert child.stdout is not None
        acknowledged = [child.stdout.readline().strip() for _ in range(400)]
        child.kill()
        acknowledged += [line.strip() for line in child.stdout if line.endswith("\n")]
    events = [decode(leaf) for group in groups(tmp_path) for leaf in group]
    written = {event.action for event in events if isinstance(event, Intent)}
    assert len(acknowledged) >= 400
    assert all(acknowledged)
    assert set(acknowledged) <= written
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))

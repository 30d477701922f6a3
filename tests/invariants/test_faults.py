"""I4 with real processes: what fails closes, is seen, and passes without a trace lost."""

import asyncio
import contextlib
import os
import resource
import signal
import sqlite3
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.app.installation import Installation, plane, process, provider
from tests.cli.installation import Result, call
from tests.invariants.crashing import Hooks, hooked
from tests.postgresql import server
from tests.postgresql.server import Server

from ringfence.domain.event import AnyEvent, Change, Intent, Outcome, Refusal, Status
from ringfence.stores.ledger.fence import FOLDER
from ringfence.testing.model.script import parse
from ringfence.testing.model.serving import Running

SCRIPT = """\
format: 1
rules:
  - {when: {user: "slow"}, answer: {text: late, faults: {delay_ms: 400}}}
  - answer: {text: a b c, usage: {input_tokens: 5, output_tokens: 10}}
"""
SEEN_S = 60.0
"""After so long everything has been looked at, on a busy machine too."""


@asynccontextmanager
async def serving(
    tmp_path: Path, workers: int = 1
) -> AsyncIterator[tuple[Installation, Running, Process]]:
    async with provider(parse(SCRIPT)) as there:
        installed = Installation(tmp_path, workers=workers)
        installed.configure(there.url, input_usd="0")
        installed.give_token()
        async with process(installed) as running:
            assert (await installed.ask()).status == 200
            yield installed, there, running
            running.send_signal(signal.SIGTERM)
            await asyncio.wait_for(running.wait(), 60)


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(SEEN_S):
        while not is_so():  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.05)


async def ready(installed: Installation) -> str:
    """What `/readyz` of the control port says; empty if all is well."""
    answer = await installed.send("GET", "/readyz", port=installed.control_port)
    return "" if answer.body == b'{"status":"ok"}' else answer.body.decode()


async def shown(installed: Installation, word: str) -> None:
    async with asyncio.timeout(SEEN_S):
        while word not in await ready(installed):  # noqa: ASYNC110 (it tells nobody)
            await asyncio.sleep(0.05)


async def well(installed: Installation) -> None:
    """Wait until nothing is wrong any more, and every warning was cleared."""
    async with asyncio.timeout(SEEN_S):
        while await ready(installed):  # noqa: ASYNC110 (it tells nobody)
            await asyncio.sleep(0.05)


async def over(installed: Installation) -> None:
    """Wait until calls pass again."""
    async with asyncio.timeout(SEEN_S):
        while (await installed.ask()).status != 200:  # noqa: ASYNC110 (it tells nobody)
            await asyncio.sleep(0.1)


def warned(events: list[AnyEvent]) -> list[tuple[str, str]]:
    return [
        (each.what, each.subject)
        for each in events
        if isinstance(each, Change) and each.what.startswith("warning.")
    ]


def whole(installed: Installation) -> list[AnyEvent]:
    """Every event, after the plane has ended; each intent has its one outcome."""
    events = installed.events()
    intents = sorted(each.action for each in events if isinstance(each, Intent))
    assert intents == sorted(each.action for each in events if isinstance(each, Outcome))
    verified = call(
        *("audit", "verify", "--data", str(installed.data)),
        *("--config", str(installed.settings.config), "--database", installed.database),
    )
    assert verified.code == 0, verified.written
    return events


def full_disk(installed: Installation, running: Process) -> contextlib.AbstractContextManager[None]:
    """No file may grow: as a full disk, for one process."""

    @contextlib.contextmanager
    def full() -> Iterator[None]:
        before = resource.prlimit(running.pid, resource.RLIMIT_FSIZE)
        largest = min(path.stat().st_size for path in ledger(installed).glob("*-wal"))
        resource.prlimit(running.pid, resource.RLIMIT_FSIZE, (largest, before[1]))
        yield
        resource.prlimit(running.pid, resource.RLIMIT_FSIZE, before)

    return full()


def ledger(installed: Installation) -> Path:
    return installed.data / FOLDER


def log_of(installed: Installation) -> Path:
    (path,) = ledger(installed).glob("[!.]*.db")
    return path


def locked(installed: Installation, _: Process) -> contextlib.AbstractContextManager[None]:
    """Another program holds the write lock."""

    @contextlib.contextmanager
    def lock() -> Iterator[None]:
        thief = sqlite3.connect(log_of(installed), isolation_level=None)
        thief.execute("BEGIN IMMEDIATE")
        yield
        thief.execute("ROLLBACK")
        thief.close()

    return lock()


def gone(installed: Installation, _: Process) -> contextlib.AbstractContextManager[None]:
    """The folder is not there, as when a mount was lost."""

    @contextlib.contextmanager
    def lose() -> Iterator[None]:
        there = ledger(installed)
        away = there.with_name("away")
        there.rename(away)
        yield
        away.rename(there)

    return lose()


@pytest.mark.parametrize("fault", [full_disk, locked, gone])
def test_a_ledger_that_cannot_be_written_closes_and_comes_back(
    tmp_path: Path,
    fault: Callable[[Installation, Process], contextlib.AbstractContextManager[None]],
) -> None:
    async def story() -> None:
        async with serving(tmp_path) as (installed, there, running):
            late = asyncio.create_task(installed.ask("slow"))
            await until(lambda: there.journal.total == 2)
            with fault(installed, running):
                refused = await installed.ask()
                assert (refused.status, refused.code) == (503, "store_unavailable")
                assert there.journal.total == 2
                await shown(installed, "the ledger cannot be written")
                data_port = await installed.send("GET", "/readyz")
                assert data_port.status == 503
                # What was on its way is answered: its intent was durable.
                assert (await late).status == 200
                await asyncio.sleep(2.5)  # as long as the plane may take to look
            await over(installed)
            await well(installed)
        text = "\n".join(installed.lines)
        assert text.count("the ledger cannot be written; calls are refused") == 1
        assert text.count("the ledger can be written again") == 1
        events = whole(installed)
        assert any(
            isinstance(each, Refusal) and each.decision.code == "store_unavailable"
            for each in events
        )
        assert warned(events) == [
            ("warning.raised", "ledger_failing"),
            ("warning.cleared", "ledger_failing"),
        ]

    asyncio.run(story())


@contextlib.contextmanager
def state_locked(installed: Installation) -> Iterator[None]:
    """Another program holds the write lock."""
    thief = sqlite3.connect(installed.data / "state.db", isolation_level=None)
    thief.execute("BEGIN IMMEDIATE")
    yield
    thief.execute("ROLLBACK")
    thief.close()


@contextlib.contextmanager
def state_gone(installed: Installation) -> Iterator[None]:
    """The file is not there, though whoever has it open can go on with it."""
    there = installed.data / "state.db"
    away = there.with_name("away")
    there.rename(away)
    yield
    assert not there.exists()
    away.rename(there)


@pytest.mark.parametrize("fault", [state_locked, state_gone])
def test_without_the_state_store_calls_go_on_and_nothing_that_people_change_is_lost(
    tmp_path: Path,
    fault: Callable[[Installation], contextlib.AbstractContextManager[None]],
) -> None:
    async def suspend(installed: Installation) -> Result:
        place = ("--data", str(installed.data), "--config", str(installed.settings.config))
        return await asyncio.to_thread(call, "agent", "suspend", "triage", *place)

    async def story() -> None:
        async with serving(tmp_path) as (installed, _, _running):
            with fault(installed):
                asking = asyncio.create_task(suspend(installed))
                assert [(await installed.ask()).status for _ in range(3)] == [200] * 3
                refused = await asking
                assert refused.code != 0
                assert "state store" in refused.err
                if fault is state_gone:
                    await shown(installed, "the state store does not answer")
                assert (await installed.ask()).status == 200
            await well(installed)
            done = await suspend(installed)
            assert done.code == 0, done.written
            assert (await installed.ask()).status == 403
        async with process(installed):
            assert (await installed.ask()).status == 403
        whole(installed)

    asyncio.run(story())


@pytest.mark.parametrize("seconds", [7_200, -7_200], ids=["ahead", "back"])
def test_a_clock_that_is_set_changes_no_call_and_is_seen(
    tmp_path: Path, hooks: Hooks, seconds: int
) -> None:
    async def story() -> None:
        async with serving(tmp_path) as (installed, _, _running):
            hooks.set_clock(seconds)
            assert (await installed.ask()).status == 200
            await shown(installed, "clock_set")
            assert (await installed.ask()).status == 200
        assert sum("clock_set" in line for line in installed.lines) == 1
        events = whole(installed)
        assert warned(events) == [("warning.raised", "clock_set")]
        times = [int(each.time_us) for each in sorted(events, key=lambda each: each.sequence)]
        assert times == sorted(times)
        # The record follows a clock that is ahead, and never goes back.
        assert (times[-1] - times[0] > 7_000_000_000) == (seconds > 0)

    asyncio.run(story())


@pytest.fixture
def hooks(tmp_path: Path) -> Iterator[Hooks]:
    place = tmp_path / "hooks"
    place.mkdir()
    with hooked(place) as made:
        yield made


def test_a_worker_that_was_stopped_for_longer_than_its_lease_goes_on_and_is_seen(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        async with serving(tmp_path, workers=2) as (installed, there, _):
            frozen = installed.worker_pids()[0]
            running = [asyncio.create_task(installed.ask("slow")) for _ in range(8)]
            await until(lambda: there.journal.total == 9)
            os.kill(frozen, signal.SIGSTOP)
            try:
                await shown(installed, "has not been heard of")
                await asyncio.sleep(2.5)
            finally:
                os.kill(frozen, signal.SIGCONT)
            answers = await asyncio.gather(*running)
            assert {each.status for each in answers} <= {200, 503}
            await well(installed)
            for _ in range(8):
                assert (await installed.ask()).status == 200
        text = "\n".join(installed.lines)
        assert text.count("worker_failing: worker") == 1
        assert text.count("worker_failing no longer") == 1
        events = whole(installed)
        assert [what for what, _ in warned(events)] == ["warning.raised", "warning.cleared"]

    asyncio.run(story())


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Server]:
    """A PostgreSQL server of our own, to be killed and started again."""
    if server.own_missing():
        pytest.skip(server.own_missing())
    with server.serving(is_durable=True) as running:
        yield running


@pytest.fixture
def address(postgresql: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """A schema of its own for each test."""
    name = f"faults_{abs(hash(request.node.name))}"
    with server.schema(postgresql.url, name) as url:
        yield url


@asynccontextmanager
async def on_database(
    tmp_path: Path, address: str, rule: str, *, workers: int = 1, usd: str = "5"
) -> AsyncIterator[tuple[Installation, Running, Process]]:
    """A plane on PostgreSQL whose agent has that `on_store_failure`."""
    async with provider(parse(SCRIPT)) as there:
        installed = Installation(tmp_path, database=address, workers=workers)
        installed.configure(there.url, input_usd="0", usd=usd)
        with (tmp_path / "ringfence.yaml").open("a") as settings:
            settings.write(f"    on_store_failure: {rule}\n")
        installed.give_token()
        async with process(installed) as running:
            assert (await installed.ask()).status == 200
            yield installed, there, running


@pytest.mark.parametrize("rule", ["closed", "open"])
def test_while_a_shared_store_is_away_an_agent_goes_on_only_if_its_rule_says_so(
    tmp_path: Path, postgresql: Server, address: str, rule: str
) -> None:
    async def story() -> None:
        async with on_database(tmp_path, address, rule) as (installed, there, running):
            late = asyncio.create_task(installed.ask("slow"))
            await until(lambda: there.journal.total == 2)
            postgresql.kill()
            try:
                answers = [await installed.ask() for _ in range(3)]
                if rule == "open":
                    assert [each.status for each in answers] == [200] * 3
                else:
                    assert {each.code for each in answers} == {"store_unavailable"}
                assert there.journal.total == (5 if rule == "open" else 2)
                assert (await late).status == 200
                data_port = await installed.send("GET", "/readyz")
                assert b"the ledger cannot be written" in data_port.body
                await asyncio.sleep(2.5)  # as long as the plane may take to look
            finally:
                postgresql.start()
            await over(installed)
            await well(installed)
            running.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(running.wait(), 60) == 0
        events = whole(installed)
        assert not any(e.status is Status.UNKNOWN for e in events if isinstance(e, Outcome))
        # With a database it is a worker's, also of a plane with one.
        assert ("warning.raised", "worker_failing") in warned(events)
        text = "\n".join(installed.lines)
        # Once for each process that has tried to write meanwhile: the worker, perhaps the plane.
        assert 1 <= text.count("the ledger cannot be written; calls are refused") <= 2

    asyncio.run(story())


def test_what_a_journal_kept_is_on_record_also_if_the_process_is_killed_meanwhile(
    tmp_path: Path, postgresql: Server, address: str
) -> None:
    async def story() -> None:
        async with on_database(tmp_path, address, "open") as (installed, there, running):
            postgresql.kill()
            try:
                assert (await installed.ask()).status == 200
                said = [("user", "hello"), ("assistant", "hello there"), ("user", "slow")]
                messages = [{"role": role, "content": text} for role, text in said]
                hanging = asyncio.create_task(installed.ask(messages=messages))
                await until(lambda: there.journal.total == 3)
                for pid in (running.pid, *children(running.pid)):
                    os.kill(pid, signal.SIGKILL)
                await running.wait()
                hanging.cancel()
            finally:
                postgresql.start()
            made = there.journal.total
        async with plane(installed) as again:
            await until(lambda: again.workers.readiness() == "")
        events = whole(installed)
        outcomes = [each for each in events if isinstance(each, Outcome)]
        assert len(outcomes) == made == 3
        assert sum(each.status is Status.UNKNOWN for each in outcomes) == 1

    asyncio.run(story())


RUN = {"ringfence-invocation": "ticket-7"}
"""Of which every worker knows, so that none need ask while the database is away."""


def test_each_of_several_workers_goes_on_with_what_it_was_lent_and_no_further(
    tmp_path: Path,
    postgresql: Server,
    address: str,
) -> None:
    """One of them is killed meanwhile, too."""

    async def story() -> None:
        async with on_database(tmp_path, address, "open", workers=2, usd="0.006") as parts:
            installed, there, running = parts
            before = [await installed.ask(headers=RUN) for _ in range(5)]
            assert {each.status for each in before} == {200}
            made = there.journal.total
            postgresql.kill()
            try:
                answers = await asyncio.gather(*(installed.ask(headers=RUN) for _ in range(40)))
                statuses = [each.status for each in answers]
                assert set(statuses) <= {200, 402, 503}, statuses
                assert statuses.count(200) > 0
                assert there.journal.total == made + statuses.count(200)
                assert there.journal.total * CALL_NANO <= LIMIT_NANO
                os.kill(installed.worker_pids()[0], signal.SIGKILL)
                await asyncio.sleep(2.5)  # as long as the plane may take to look
                assert await ready(installed)
            finally:
                postgresql.start()
            await well(installed)
            left = [(await installed.ask(headers=RUN)).status for _ in range(60)]
            assert 402 in left
            assert there.journal.total * CALL_NANO <= LIMIT_NANO
            running.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(running.wait(), 60) == 0
        outcomes = [each for each in whole(installed) if isinstance(each, Outcome)]
        assert len(outcomes) == there.journal.total
        assert sum(int(each.cost_nano) for each in outcomes) <= LIMIT_NANO

    asyncio.run(story())


LIMIT_NANO = 6_000_000
CALL_NANO = 100_000
"""What the provider is paid for a call; it is reserved at five times that."""


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii")
    return [int(each) for each in listed.split()]

"""DESIGN I4 with real processes: what fails closes, is seen, and passes without a trace lost."""

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
from tests.app.installation import Installation, process, provider
from tests.cli.installation import call
from tests.invariants.crashing import Hooks, hooked

from ringfence.domain.event import AnyEvent, Change, Intent, Outcome, Refusal
from ringfence.stores.ledger.fence import FOLDER
from ringfence.testing.model.script import parse
from ringfence.testing.model.serving import Running

SCRIPT = """\
format: 1
rules:
  - {when: {user: "slow"}, answer: {text: late, faults: {delay_ms: 400}}}
  - answer: {text: a b c, usage: {input_tokens: 5, output_tokens: 10}}
"""
SEEN_S = 15.0
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
            await asyncio.wait_for(running.wait(), 20)


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
        "audit", "verify", "--data", str(installed.data), "--config", str(installed.settings.config)
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

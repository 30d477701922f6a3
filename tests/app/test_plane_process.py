import asyncio
import signal
from pathlib import Path

import pytest
from tests.app.installation import (
    Installation,
    logged,
    process,
    provider,
    ready,
    until,
)

from ringfence.domain.event import Intent, Outcome, Refusal, Status
from ringfence.testing.model.script import parse


@pytest.fixture
def installed(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


def test_sigterm_lets_running_answers_end(installed: Installation) -> None:
    script = """\
format: 1
rules: [{answer: {text: one two three four five six, faults: {trickle_ms: 150}}}]
"""

    async def story() -> None:
        async with provider(parse(script)) as there:
            ready(installed, there)
            async with process(installed) as running:
                asking = asyncio.create_task(installed.ask(stream=True))
                await until(there, 1)
                running.send_signal(signal.SIGTERM)
                assert running.stderr is not None
                await logged(running.stderr, installed, "stopping")
                late = await installed.ask()
                assert (late.status, late.code) == (503, "shutting_down")
                answer = await asking
                assert answer.body.endswith(b"data: [DONE]\n\n")
                assert await asyncio.wait_for(running.wait(), 60) == 0
            assert [e.status for e in installed.events() if isinstance(e, Outcome)] == [Status.OK]

    asyncio.run(story())


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_signal_ends_a_stream_in_its_own_words_and_a_wait_with_503(
    installed: Installation, workers: int
) -> None:
    async def story() -> None:
        async with provider() as there:
            ready(installed, there)
            installed.workers = workers
            async with process(installed) as running:
                streaming = asyncio.create_task(installed.ask("stall", stream=True))
                waiting = asyncio.create_task(installed.ask("hang"))
                await until(there, 2)
                running.send_signal(signal.SIGTERM)
                assert running.stderr is not None
                await logged(running.stderr, installed, "stopping")
                running.send_signal(signal.SIGTERM)
                stream, waited = await streaming, await waiting
                assert b"shutting down" in stream.body
                assert b"error" in stream.body
                assert (waited.status, waited.code) == (503, "shutting_down")
                assert await asyncio.wait_for(running.wait(), 60) == 0
            outcomes = [e for e in installed.events() if isinstance(e, Outcome)]
            assert {(e.status, e.error) for e in outcomes} == {(Status.CUT, "shutting_down")}

    asyncio.run(story())


def test_sighup_takes_a_new_epoch_or_changes_nothing(installed: Installation) -> None:
    async def story() -> None:
        async with provider() as there:
            ready(installed, there)
            async with process(installed) as running:
                assert running.stderr is not None
                assert (await installed.ask()).status == 200
                good = installed.settings.config.read_text()
                installed.settings.config.write_text(good.replace("purpose:", "porpoise:"))
                running.send_signal(signal.SIGHUP)
                refused = await logged(running.stderr, installed, "configuration not loaded")
                assert "porpoise" in str(refused)
                assert (await installed.ask()).status == 200
                installed.configure(there.url, models="claude")
                running.send_signal(signal.SIGHUP)
                loaded = await logged(running.stderr, installed, "configuration loaded")
                assert loaded["epoch"] == 2
                denied = await installed.ask()
                assert (denied.status, denied.code) == (403, "out_of_scope")
                running.send_signal(signal.SIGTERM)
                await running.wait()
            epochs = [e.epoch for e in installed.events() if isinstance(e, Intent | Refusal)]
            assert epochs == [1, 1, 2]

    asyncio.run(story())

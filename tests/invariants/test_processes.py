"""I1 to I3 over several processes: exact to the last call, also when one is killed."""

import asyncio
import contextlib
import os
import random
import signal
from pathlib import Path

import pytest
from tests.app.installation import Installation, plane, provider

from ringfence.app.plane import Plane
from ringfence.domain.budget import Per
from ringfence.domain.event import Intent, Outcome, Status
from ringfence.testing.model.script import parse

WHOLE = "usage: {input_tokens: 5, output_tokens: 50}"
CALL_NANO = 500_000
"""What one call is reserved at and costs."""


def ready(tmp_path: Path, url: str, usd: str) -> Installation:
    installed = Installation(tmp_path, workers=4)
    installed.configure(url, usd=usd, input_usd="0")
    installed.give_token()
    return installed


async def spent(running: Plane) -> int:
    """What the books say of the agent's budget."""
    acme = running.configuration().organisations["acme"]
    lines = await running.workers.budgets(acme.id)
    return sum(int(line.spent) for line in lines if line.key.per is Per.DAY)


async def decided(installed: Installation, text: str, *, stream: bool) -> int:
    """How a call ends; on a machine that is too busy to decide it is asked again, as clients do."""
    for _ in range(100):
        status = (await installed.ask(text, stream=stream)).status
        if status != 503:
            return status
        await asyncio.sleep(0.2)
    raise AssertionError("nothing was decided for a long time")


@pytest.mark.parametrize("stream", [False, True])
def test_a_budget_for_exactly_fifty_lets_exactly_fifty_through_with_four_workers(
    tmp_path: Path,
    stream: bool,  # noqa: FBT001 (a case of the table)
    patient_lending: None,
) -> None:
    del patient_lending
    script = f"format: 1\nrules: [{{answer: {{text: a b c d e f, {WHOLE}}}}}]\n"

    async def story() -> None:
        async with provider(parse(script)) as there:
            installed = ready(tmp_path, there.url, "0.025")
            async with plane(installed) as running:
                # One after another: several workers have a part in it, however slow some are then.
                statuses = [await decided(installed, f"first {n}", stream=stream) for n in range(8)]
                asking = [decided(installed, f"task {n}", stream=stream) for n in range(192)]
                statuses += await asyncio.gather(*asking)
                assert sorted(statuses) == [200] * 50 + [402] * 150
                assert await spent(running) == 50 * CALL_NANO
            assert there.journal.total == 50
            outcomes = [e for e in installed.events() if isinstance(e, Outcome)]
            assert sum(int(each.cost_nano) for each in outcomes) == 50 * CALL_NANO
            assert len({each.log for each in outcomes}) > 1

    asyncio.run(story())


def test_a_worker_that_is_killed_under_load_loses_nothing_and_doubles_nothing(
    tmp_path: Path,
) -> None:
    slow = "faults: {delay_ms: 30}"
    script = f"format: 1\nrules: [{{answer: {{text: a b c, {WHOLE}, {slow}}}}}]\n"
    limit = 150 * CALL_NANO

    async def client(installed: Installation, until_s: float) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < until_s:
            with contextlib.suppress(ConnectionError, IndexError, TimeoutError):
                if (await installed.ask()).status == 402:
                    await asyncio.sleep(0.1)

    async def story() -> None:
        chance = random.Random(7)  # noqa: S311 (which worker, not a secret)
        async with provider(parse(script)) as there:
            installed = ready(tmp_path, there.url, "0.075")
            async with plane(installed) as running:
                until_s = asyncio.get_running_loop().time() + 5
                clients = [asyncio.create_task(client(installed, until_s)) for _ in range(10)]
                for _ in range(3):
                    await asyncio.sleep(0.5)
                    alive = [s.pid for s in await running.workers.status() if not s.trouble]
                    if alive:
                        os.kill(chance.choice(alive), signal.SIGKILL)
                await asyncio.gather(*clients)
                async with asyncio.timeout(60):
                    while running.workers.readiness():  # noqa: ASYNC110 (it tells nobody)
                        await asyncio.sleep(0.05)
                    while (await installed.ask()).status != 402:
                        pass  # on a busy machine something is left
                books = await spent(running)
            events = installed.events()
            intents = [e.action for e in events if isinstance(e, Intent)]
            outcomes = [e for e in events if isinstance(e, Outcome)]
            assert sorted(intents) == sorted(e.action for e in outcomes)
            assert len(intents) == len(set(intents))
            assert there.journal.total <= len(intents)
            charged = sum(int(e.cost_nano) for e in outcomes)
            assert there.journal.total * CALL_NANO <= charged <= limit
            assert books == charged
            # What a dead worker held is not lost: the budget is used to its end.
            assert charged == limit
            assert any(e.status is Status.UNKNOWN for e in outcomes)

    asyncio.run(story())

"""I1 to I3 where a process is killed at an exact point: nothing lost, nothing twice."""

import asyncio
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.app.installation import Answer, Installation, plane, process, provider
from tests.cli.installation import call
from tests.invariants import crashing
from tests.invariants.crashing import Hooks, hooked

from ringfence.app.plane import Plane
from ringfence.domain.budget import Per
from ringfence.domain.event import Intent, Outcome, Status
from ringfence.testing.model.script import parse
from ringfence.testing.model.serving import Running

CALL_NANO = 100_000
RESERVED_NANO = 500_000
"""What a call costs, and what it is reserved at."""

SCRIPT = """\
format: 1
rules:
  - {when: {user: "slow"}, answer: {text: late, faults: {delay_ms: 1000}}}
  - answer: {text: a b c, usage: {input_tokens: 5, output_tokens: 10}}
"""

NOT_MADE = frozenset({crashing.RESERVED, crashing.INTENT_DRAFTED})
"""Points at which nothing of the call is on record, and nothing was sent."""
NOT_SENT = frozenset({crashing.INTENT_DURABLE})
WHOLE = frozenset({crashing.OUTCOME_DURABLE})
MAYBE = frozenset({crashing.HASHED, crashing.HALF_SIGNED})
"""Points on another thread, which the call does not wait for."""

DURABLE_S = 0.2
"""After so long the outcome of a call is durable, and covered by a checkpoint."""


@pytest.fixture
def crash(tmp_path: Path) -> Iterator[Hooks]:
    place = tmp_path / "hooks"
    place.mkdir()
    with hooked(place) as made:
        yield made


def ready(tmp_path: Path, url: str, *, workers: int = 1, database: str = "sqlite") -> Installation:
    installed = Installation(tmp_path, workers=workers, database=database)
    installed.configure(url, input_usd="0")
    installed.give_token()
    return installed


async def fatal(installed: Installation, text: str = "hello") -> Answer | None:
    """A call that may not survive."""
    with contextlib.suppress(ConnectionError, IndexError, TimeoutError):
        return await installed.ask(text)
    return None


async def served(installed: Installation) -> None:
    """Agents are answered; those whose worker dies now ask again."""
    async with asyncio.timeout(60):
        while True:
            answer = await fatal(installed)
            if answer is not None and answer.status == 200:
                return
            await asyncio.sleep(0.05)


async def spent(running: Plane) -> int:
    acme = running.configuration().organisations["acme"]
    lines = await running.workers.budgets(acme.id)
    return sum(int(line.spent) for line in lines if line.key.per is Per.DAY)


def charged(installed: Installation) -> int:
    return sum(int(each.cost_nano) for each in installed.events() if isinstance(each, Outcome))


def check(installed: Installation, there: Running, books: int) -> list[str]:
    """Every intent has one outcome, nothing is charged twice, and the record holds.

    Gives the actions whose outcome is unknown.
    """
    events = installed.events()
    intents = [each for each in events if isinstance(each, Intent)]
    outcomes = [each for each in events if isinstance(each, Outcome)]
    assert sorted(each.action for each in intents) == sorted(each.action for each in outcomes)
    assert len({each.action for each in intents}) == len(intents)
    unknown = [each for each in outcomes if each.status is Status.UNKNOWN]
    assert {int(each.cost_nano) for each in unknown} <= {RESERVED_NANO}
    known = [each for each in outcomes if each.status is not Status.UNKNOWN]
    assert {int(each.cost_nano) for each in known} <= {CALL_NANO}
    assert books == sum(int(each.cost_nano) for each in outcomes)
    assert there.journal.total <= len(intents)
    verified = call(
        "audit", "verify", "--json", "--data", str(installed.data),
        "--config", str(installed.settings.config), "--database", installed.database,
    )  # fmt: skip
    assert verified.code == 0, verified.written
    stated = json.loads(verified.out)
    assert stated["holds"]
    assert sorted(stated["unknown_outcomes"]) == sorted(each.action for each in unknown)
    return [each.action for each in unknown]


@pytest.mark.parametrize("point", crashing.POINTS)
def test_one_process_killed_at_this_point_begins_again_with_all_it_knew(
    tmp_path: Path, crash: Hooks, point: str
) -> None:
    async def story() -> None:
        async with provider(parse(SCRIPT)) as there:
            installed = ready(tmp_path, there.url)
            async with process(installed) as running:
                assert (await installed.ask()).status == 200
                await asyncio.sleep(DURABLE_S)
                crash.arm(point)
                await fatal(installed, "slow" if point == crashing.DISPATCHED else "hello")
                async with asyncio.timeout(60):
                    assert await running.wait() == -9
            assert crash.has_happened
            made = there.journal.total
            async with plane(installed) as again:
                books = await spent(again)
                assert (await installed.ask()).status == 200
                assert await spent(again) == books + CALL_NANO
            unknown = check(installed, there, books + CALL_NANO)
            assert point in MAYBE or made == (1 if point in NOT_MADE | NOT_SENT else 2)
            assert point in MAYBE or len(unknown) == (0 if point in NOT_MADE | WHOLE else 1)

    asyncio.run(story())


@pytest.mark.parametrize("point", crashing.IN_RECOVERY)
def test_a_recovery_that_is_killed_is_done_once_by_the_next(
    tmp_path: Path, crash: Hooks, point: str
) -> None:
    async def story() -> None:
        async with provider(parse(SCRIPT)) as there:
            installed = ready(tmp_path, there.url)
            async with process(installed) as running:
                crash.arm(crashing.ANSWERED)
                await fatal(installed)
                await running.wait()
            crash.arm(point)
            with pytest.raises(AssertionError, match="never logged"):
                async with process(installed):
                    pass
            assert crash.has_happened
            async with plane(installed) as again:
                books = await spent(again)
            assert books == RESERVED_NANO
            assert len(check(installed, there, books)) == 1

    asyncio.run(story())


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    """Where a plane keeps everything."""
    is_file = request.param == "sqlite"
    return "sqlite" if is_file else str(request.getfixturevalue("postgresql_url"))


def test_workers_killed_at_every_point_one_after_another_lose_and_double_nothing(
    tmp_path: Path, crash: Hooks, database: str
) -> None:
    async def story() -> None:
        async with provider(parse(SCRIPT)) as there:
            installed = ready(tmp_path, there.url, workers=2, database=database)
            async with plane(installed) as running:
                for point in crashing.POINTS:
                    await asyncio.sleep(DURABLE_S)
                    crash.arm(point, in_worker=True)
                    for _ in range(20):
                        if crash.has_happened:
                            break
                        await fatal(installed, "slow" if point == crashing.DISPATCHED else "hi")
                    assert crash.has_happened, point
                    async with asyncio.timeout(60):
                        while running.workers.readiness():  # noqa: ASYNC110 (it tells nobody)
                            await asyncio.sleep(0.02)
                    await served(installed)
                async with asyncio.timeout(60):  # until the last death was noticed and made good
                    while (books := await spent(running)) != charged(installed):  # noqa: ASYNC110 (it tells nobody)
                        await asyncio.sleep(0.1)
            unknown = check(installed, there, books)
            least = len(crashing.POINTS) - len(NOT_MADE) - len(WHOLE) - len(MAYBE)
            assert len(unknown) >= least

    asyncio.run(story())


@pytest.mark.parametrize("point", crashing.IN_RECOVERY)
def test_a_plane_killed_while_it_recovers_its_worker_does_it_once_when_it_comes_back(
    tmp_path: Path, crash: Hooks, postgresql_url: str, point: str
) -> None:
    """The worker dies first, then its supervisor while it makes the worker's log whole."""

    async def story() -> None:
        async with provider(parse(SCRIPT)) as there:
            installed = ready(tmp_path, there.url, workers=2, database=postgresql_url)
            async with process(installed) as running:
                crash.arm(crashing.ANSWERED, in_worker=True)
                asking = asyncio.create_task(fatal(installed))
                async with asyncio.timeout(60):
                    while not crash.has_happened:  # noqa: ASYNC110 (armed anew at once)
                        await asyncio.sleep(0)
                crash.arm(point, in_supervisor=True)
                await asking
                async with asyncio.timeout(60):
                    assert await running.wait() == -9
            assert crash.has_happened
            async with plane(installed) as again:
                async with asyncio.timeout(60):
                    while (books := await spent(again)) != RESERVED_NANO:  # noqa: ASYNC110 (it tells nobody)
                        await asyncio.sleep(0.1)
                await served(installed)
                async with asyncio.timeout(60):
                    while (books := await spent(again)) != charged(installed):  # noqa: ASYNC110 (it tells nobody)
                        await asyncio.sleep(0.1)
            assert len(check(installed, there, books)) == 1

    asyncio.run(story())

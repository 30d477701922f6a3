"""Real planes on a real database: what one finds that comes after, or beside, another."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.app.installation import Installation, plane, provider
from tests.postgresql.server import execute

from ringfence.app import hearing
from ringfence.app.plane import Plane
from ringfence.app.shared_across import SharedAcross
from ringfence.app.storage import storage_of
from ringfence.domain.agent import SandboxTier
from ringfence.domain.budget import AccountKey, BudgetScope, Per
from ringfence.domain.error import UsageError
from ringfence.domain.event import Observation
from ringfence.domain.money import Money
from ringfence.domain.sandbox import SandboxGrant, SandboxOrder
from ringfence.stores.ledger.charged import Totals
from ringfence.stores.postgresql import plane as membership
from ringfence.stores.state.grant import Grant
from ringfence.testing.model.script import parse
from ringfence.testing.model.serving import Running

SCRIPT = """\
format: 1
rules: [{answer: {text: a b c, usage: {input_tokens: 5, output_tokens: 50}}}]
"""
CALL_NANO = 500_000


@pytest.fixture
def installed(postgresql_url: str, tmp_path: Path) -> Installation:
    return Installation(tmp_path, database=postgresql_url)


@pytest.fixture
def other(postgresql_url: str, tmp_path: Path) -> Installation:
    """Another plane's, on the same database."""
    (tmp_path / "other").mkdir()
    return Installation(tmp_path / "other", database=postgresql_url)


@asynccontextmanager
async def configured(*installations: Installation, usd: str = "0.001") -> AsyncIterator[Running]:
    """A provider whose answers cost `CALL_NANO`, and installations that call it."""
    async with provider(parse(SCRIPT)) as there:
        for each in installations:
            each.configure(there.url, usd=usd, input_usd="0")
        installations[0].give_token()
        yield there


async def said(url: str, statement: str) -> list[tuple[object, ...]]:
    """Run one statement while planes run; the rows, if it gives any."""
    return await asyncio.to_thread(execute, url, statement)


async def dead_plane(url: str, logs: str = "{}") -> None:
    """A plane that is heard of no more, with the logs of its workers."""
    values = f"('log_dead', '{logs}', 1, 'c', now(), 0)"
    await said(url, f"INSERT INTO shared_planes VALUES {values}")  # noqa: S608 (ours)


async def recovered(url: str) -> None:
    """Wait until somebody has recovered the dead plane."""
    async with asyncio.timeout(60):
        while await said(  # noqa: ASYNC110 (it tells nobody)
            url, "SELECT 1 FROM shared_planes WHERE id = 'log_dead'"
        ):
            await asyncio.sleep(0.1)


async def spent(running: Plane) -> int:
    acme = running.configuration().organisations["acme"]
    lines = await running.workers.budgets(acme.id)
    return sum(int(line.spent) for line in lines if line.key.per is Per.DAY)


def test_a_database_from_before_limits_were_shared_keeps_what_was_spent(
    installed: Installation,
) -> None:
    async def story() -> None:
        async with configured(installed, usd="0.004") as there:
            run = {"ringfence-invocation": "ticket-7"}
            async with plane(installed):
                first = await installed.ask(headers=run)
                assert first.status == 200
            for table in ("limits", "runs", "changes"):
                execute(installed.database, f"DELETE FROM shared_{table}")  # noqa: S608 (ours)
            async with plane(installed) as running:
                assert await spent(running) == CALL_NANO
                answers = [await installed.ask(headers=run) for _ in range(8)]
                name = "ringfence-invocation"
                assert {each.headers[name] for each in answers} == {first.headers[name]}
                assert [each.status for each in answers] == [200] * 7 + [402]
            assert there.journal.total == 8

    asyncio.run(story())


def test_a_grant_raises_the_limit_on_every_plane_and_over_a_restart(
    installed: Installation, other: Installation
) -> None:
    async def grant(running: Plane) -> None:
        acme = running.configuration().organisations["acme"]
        agent = acme.agents["triage"].id
        [line] = [
            each
            for each in await running.workers.budgets(acme.id)
            if each.key.per is Per.DAY and each.key.scope is BudgetScope.AGENT
        ]
        made = Grant(
            id="grt_1",
            account=AccountKey(acme.id, BudgetScope.AGENT, agent, Per.DAY),
            window_start_us=line.window.start_us,
            amount=Money(3 * CALL_NANO),
            created_us=time.time_ns() // 1000,
            created_by="test",
            reason="",
        )
        state = await asyncio.to_thread(storage_of(installed.settings).state)
        await asyncio.to_thread(state.grants.add, made)
        state.close()
        await running.workers.grant_added(made)

    async def story() -> None:
        async with configured(installed, other):
            async with plane(installed) as running, plane(other):
                assert [(await installed.ask(f"{n}")).status for n in range(3)] == [200, 200, 402]
                await grant(running)
                assert [(await other.ask(f"a{n}")).status for n in range(2)] == [200, 200]
            async with plane(other):
                assert [(await other.ask(f"b{n}")).status for n in range(2)] == [200, 402]

    asyncio.run(story())


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plane counts as dead after a second."""
    for module in (hearing, membership):
        monkeypatch.setattr(module, "DEAD_S", 1.0)


@pytest.mark.usefixtures("hurried")
def test_a_member_that_died_is_recovered_by_another_and_one_that_lives_is_not(
    installed: Installation, other: Installation
) -> None:
    async def story() -> None:
        async with configured(installed, other), plane(installed), plane(other):
            await dead_plane(installed.database, "{log_dead_1}")
            await recovered(installed.database)
            members = "SELECT count(*) FROM shared_planes"
            assert await said(installed.database, members) == [(2,)]
            for each in (installed, other):
                assert (await each.ask()).status == 200

    asyncio.run(story())


async def sandbox(running: Plane) -> SandboxGrant:
    acme = running.configuration().organisations["acme"]
    return await running.workers.open_sandbox(
        SandboxOrder(
            organisation=acme.id,
            agent=acme.agents["triage"].id,
            tier=SandboxTier.STRICT,
            command=("true",),
            workspace="/project",
            directory="/project",
            actor="test",
        )
    )


def ended(given: Installation) -> list[tuple[str, str]]:
    """What is on record of sandboxes that have ended: which one, and why."""
    seen = [each for each in given.events() if isinstance(each, Observation)]
    return [(each.sandbox, each.subject) for each in seen if each.what == "sandbox.ended"]


@pytest.mark.usefixtures("hurried")
def test_sandboxes_of_a_dead_plane_end_at_once_and_those_of_others_go_on(
    installed: Installation, other: Installation
) -> None:
    served = "UPDATE shared_runs SET plane = 'log_dead', number = nextval('shared_numbers')"
    served += " WHERE id = '{}'"

    async def story() -> None:
        async with (
            configured(installed, other),
            plane(installed) as running,
            plane(other) as beside,
        ):
            lost, _ = await sandbox(running), await sandbox(beside)
            await said(installed.database, served.format(lost.invocation))
            await dead_plane(installed.database)
            await recovered(installed.database)
            is_open = f"SELECT is_open FROM shared_runs WHERE id = '{lost.invocation}'"  # noqa: S608 (ours)
            assert await said(installed.database, is_open) == [(False,)]
            # Its worker lives here and says that it was ended, too; on a slow machine the other
            # one may be over as well, since nobody has joined it in time.
            told = {each for each in ended(installed) if each[1] == "plane_stopped"}
            assert told == {(lost.id, "plane_stopped")}

    asyncio.run(story())


def test_a_plane_that_starts_again_ends_the_sandboxes_of_its_earlier_life(
    installed: Installation,
) -> None:
    async def story() -> None:
        async with configured(installed):
            async with plane(installed) as running:
                grant = await sandbox(running)
                await said(installed.database, "CREATE TABLE kept AS SELECT * FROM shared_runs")
            assert ended(installed) == [(grant.id, "plane_stopped")]
            # As if it had been killed: nobody has written of the end.
            await said(installed.database, "DELETE FROM shared_runs")
            await said(installed.database, "INSERT INTO shared_runs SELECT * FROM kept")
            async with plane(installed):
                assert ended(installed) == [(grant.id, "plane_stopped")] * 2

    asyncio.run(story())


@pytest.mark.usefixtures("hurried")
def test_nobody_writes_a_log_again_before_what_it_charged_was_counted(
    installed: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its next life is lent something that the proof then frees for others."""
    seen: dict[str, str] = {}
    prove_log = SharedAcross.prove_log

    async def watched(across: SharedAcross, log: str, charged: Totals, **more: bool) -> None:
        if log.startswith("log_dead"):
            seen[log] = await asyncio.to_thread(taking, log)
        await prove_log(across, log, charged, **more)

    def taking(log: str) -> str:
        logs = storage_of(installed.settings).logs()
        try:
            logs.take(log).release()
        except UsageError as error:
            return error.code
        finally:
            logs.close()
        return "taken"

    async def story() -> None:
        async with configured(installed):
            monkeypatch.setattr(SharedAcross, "prove_log", watched)
            async with plane(installed):
                await dead_plane(installed.database, "{log_dead_1}")
                async with asyncio.timeout(60):
                    while len(seen) < 2:  # noqa: ASYNC110 (it tells nobody)
                        await asyncio.sleep(0.1)
            assert seen == {"log_dead": "log_in_use", "log_dead_1": "log_in_use"}
            assert [await asyncio.to_thread(taking, log) for log in seen] == ["taken"] * 2

    asyncio.run(story())


def test_a_worker_that_is_killed_while_it_starts_is_charged_nothing_twice(
    installed: Installation,
) -> None:
    async def story() -> None:
        async with configured(installed, usd="1"), plane(installed) as running:
            assert [(await installed.ask(f"{n}")).status for n in range(3)] == [200] * 3
            killed: set[int] = set()
            async with asyncio.timeout(60):
                while len(killed) < 3:  # the one that serves, and two that are starting
                    [status] = await running.workers.status()
                    if status.pid and status.pid not in killed:
                        os.kill(status.pid, signal.SIGKILL)
                        killed.add(status.pid)
                    await asyncio.sleep(0.02)
                while running.workers.readiness():  # noqa: ASYNC110 (it tells nobody)
                    await asyncio.sleep(0.05)
            assert [(await installed.ask(f"a{n}")).status for n in range(20)] == [200] * 20
            assert await spent(running) == 23 * CALL_NANO

    asyncio.run(story())

import asyncio
from collections.abc import Awaitable, Iterator
from pathlib import Path

import pytest
from tests.app.test_secret import ONE, TWO, World, secret, value

from ringfence.app.secret_watch import SecretWatch
from ringfence.domain.secret import FromCommand, FromStore
from ringfence.stores.secret import Secrets


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "data")
    yield made
    made.state.close()


def test_workers_are_told_in_the_order_of_the_changes(world: World) -> None:
    told: list[str | None] = []

    async def run() -> None:
        def changed(secrets: Secrets) -> Awaitable[None]:
            told.append(value(secrets))
            return asyncio.sleep(0.01)

        watch = SecretWatch(world.custody, changed)
        world.take(secret(FromStore()))

        async def put(text: str) -> None:
            world.stored.put("org_1", "crm", text)
            await (await watch.stored_changed())

        await asyncio.gather(*(put(f"canary-{number:04d}") for number in range(5)))
        await (await watch.stored_changed())

    asyncio.run(run())
    assert told[-1] == "canary-0004"


def test_nobody_waits_while_a_slow_program_runs(world: World, tmp_path: Path) -> None:
    async def run() -> None:
        slow = ("sh", "-c", f"cat {tmp_path}/key; sleep 1")
        (tmp_path / "key").write_text(ONE)
        definition = secret(FromCommand(command=slow, refresh_s=5), "slow")
        world.take(definition, secret(FromStore()))
        told: list[Secrets] = []

        def changed(secrets: Secrets) -> Awaitable[None]:
            told.append(secrets)
            return asyncio.sleep(0)

        watch = SecretWatch(world.custody, changed)
        world.clock.advance(6_000_000)
        looking = asyncio.create_task(asyncio.to_thread(world.custody.look))
        await asyncio.sleep(0.2)
        world.stored.put("org_1", "crm", TWO)
        async with asyncio.timeout(0.5):
            await (await watch.stored_changed())
        assert [value(each) for each in told] == [TWO]
        assert not looking.done()
        await looking

    asyncio.run(run())

import asyncio
from collections.abc import Awaitable, Iterator
from pathlib import Path

import pytest
from tests.app.test_secret import ONE, TWO, World, secret, value
from tests.planes import soon

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
        waits = ">begun; until [ -e may_end ]; do sleep 0.05; done"
        slow = ("sh", "-c", f"cd {tmp_path}; cat key; [ ! -e is_slow ] || {{ {waits}; }}")
        (tmp_path / "key").write_text(ONE)
        definition = secret(FromCommand(command=slow, refresh_s=5), "slow")
        world.take(definition, secret(FromStore()))
        told: list[Secrets] = []

        def changed(secrets: Secrets) -> Awaitable[None]:
            told.append(secrets)
            return asyncio.sleep(0)

        watch = SecretWatch(world.custody, changed)
        world.clock.advance(6_000_000)
        (tmp_path / "is_slow").touch()
        looking = asyncio.create_task(asyncio.to_thread(world.custody.look))
        await soon((tmp_path / "begun").exists)
        world.stored.put("org_1", "crm", TWO)
        await (await watch.stored_changed())
        assert [value(each) for each in told] == [TWO]
        assert not looking.done()
        (tmp_path / "may_end").touch()
        await looking

    asyncio.run(run())

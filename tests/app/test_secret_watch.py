import asyncio
import threading
from collections.abc import Awaitable, Iterator, Mapping
from pathlib import Path

import pytest
from tests.app.test_secret import ONE, TWO, World, secret, value
from tests.planes import soon

from ringfence.app.secret import SecretCustody
from ringfence.app.secret_watch import SecretWatch
from ringfence.domain.secret import FromCommand, FromFile, FromStore, FromVault
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


def test_a_store_that_hangs_keeps_no_other_value_waiting(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringfence.app.secret_watch._LOOK_S", 0.01)
    asked, answers = threading.Event(), threading.Event()
    path = tmp_path / "key"

    def hang(url: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
        found = world.vault(url, headers)
        if path.read_text() == TWO:
            asked.set()
            answers.wait(60)
        return found

    async def run() -> None:
        path.write_text(ONE)
        world.custody = SecretCustody(world.environment, world.stored, hang, world.clock)
        far = FromVault(
            url="https://vault.example",
            mount="secret",
            path="a",
            field="b",
            token="TOKEN",
            refresh_s=5,
        )
        world.take(secret(far, "far"), secret(FromFile(str(path)), "near"))
        told: list[Secrets] = []

        def changed(secrets: Secrets) -> Awaitable[None]:
            told.append(secrets)
            return asyncio.sleep(0)

        path.write_text(TWO)
        world.clock.advance(6_000_000)
        watching = asyncio.create_task(SecretWatch(world.custody, changed).run())
        await asyncio.to_thread(asked.wait, 60)
        await soon(lambda: bool(told))
        assert value(told[-1], "near") == TWO
        answers.set()
        watching.cancel()
        await asyncio.wait({watching})

    asyncio.run(run())

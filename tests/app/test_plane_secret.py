import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import MappingProxyType

import pytest
from tests.app.test_secret import ONE, TWO, World, of, secret, value

from ringfence.app.configuration import Prepared
from ringfence.app.plane_secret import PlaneSecrets
from ringfence.domain.secret import FromEnvironment, FromStore, SecretDefinition
from ringfence.stores.secret import EnvironmentSecrets, Secrets
from ringfence.transport.client import Pool


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "data")
    yield made
    made.state.close()


def prepared(world: World, *definitions: SecretDefinition) -> Prepared:
    return Prepared(
        configuration=of(*definitions),
        secrets=EnvironmentSecrets(frozenset({"TOKEN"}), world.environment),
        secret_uses=MappingProxyType({}),
        notes=(),
    )


def run(world: World, story: Callable[[PlaneSecrets, list[Secrets]], Awaitable[None]]) -> None:
    """Tell a story of a plane's secrets, and of what its workers are told."""

    async def told() -> None:
        pool, heard = Pool(), list[Secrets]()

        def tell(secrets: Secrets) -> Awaitable[None]:
            heard.append(secrets)
            return asyncio.sleep(0)

        made = PlaneSecrets(world.stored, world.environment, pool, world.clock, tell)
        try:
            await story(made, heard)
        finally:
            await pool.close()

    asyncio.run(told())


async def take(made: PlaneSecrets, ready: Prepared) -> None:
    proposal = await made.propose(ready, lambda configuration: configuration)
    async with made.turn:
        await made.take(proposal, ready.configuration)


def test_what_a_configuration_needs_is_in_force_once_it_is_taken(world: World) -> None:
    async def story(made: PlaneSecrets, heard: list[Secrets]) -> None:
        await take(made, prepared(world, secret(FromEnvironment(variable="KEY"))))
        assert value(made.in_force) == ONE
        assert made.value("TOKEN") == "token-of-the-vault"
        assert (made.trouble(), heard) == ("", [])

    run(world, story)


def test_workers_are_told_of_what_is_stored_anew_and_it_is_in_force(world: World) -> None:
    async def story(made: PlaneSecrets, heard: list[Secrets]) -> None:
        await take(made, prepared(world, secret(FromStore())))
        assert made.trouble() != ""
        world.stored.put("org_1", "crm", TWO)
        await (await made.stored_changed())
        assert [value(each) for each in (*heard, made.in_force)] == [TWO, TWO]
        assert made.trouble() == ""

    run(world, story)


def test_what_the_wrapping_key_does_not_open_is_said_at_the_start(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(made: PlaneSecrets, heard: list[Secrets]) -> None:
        await made.check_stored()
        assert caplog.messages == []
        world.stored.put("org_1", "crm", TWO)
        (key,) = (tmp_path / "data" / "keys").glob("secret*.key")
        key.unlink()
        await made.check_stored()
        assert "`ringfence doctor` says what to do" in caplog.text
        assert heard == []

    run(world, story)

"""A secret's new value is in use everywhere when the command that changes it returns."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path

import pytest
from tests.app.installation import Installation, plane
from tests.invariants.tooled import call_tool, configure

from ringfence.app.plane import Plane
from ringfence.cli.connection import Place, connect
from ringfence.domain.error import UsageError
from ringfence.stores.secret.wrapping_key import default_path
from ringfence.testing.tools.serving import Running, serving

NUMBERS = count()
"""Of calls, so that none is like another."""
ONE, TWO, THREE, FOUR = (
    f"canary-of-a-{n}-0123456789" for n in ("first", "second", "third", "fourth")
)
SECRETS = """\
secrets:
  crm: {{stored: true, bind: {{host: api.crm.example, as: bearer}}}}
  mounted: {{file: "{file}"}}
"""


def installed_at(folder: Path, url: str, mounted: Path, **settings: object) -> Installation:
    folder.mkdir(exist_ok=True)
    made = Installation(folder, **settings)  # type: ignore[arg-type] # of its fields
    configure(made, url)
    path = folder / "ringfence.yaml"
    path.write_text(path.read_text() + SECRETS.format(file=mounted))
    return made


@asynccontextmanager
async def planes(*installed: Installation) -> AsyncIterator[list[Plane]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(plane(each)) for each in installed]


async def change(installed: Installation, value: str | None) -> None:
    def command() -> None:
        with connect(Place(settings=installed.settings)) as reached:
            if value is None:
                reached.delete("/secrets/crm")
            else:
                reached.post("/secrets/crm", {"value": value})

    await asyncio.to_thread(command)


async def is_withheld(installed: Installation, value: str) -> bool:
    """Whether a worker knows a value: a tool's answer that shows it is withheld."""
    for _ in range(50):
        told = await call_tool(installed, "echo", {"text": f"it is {value}, {next(NUMBERS)}"})
        if "it is" in told.text or "withheld" in told.text:
            return "withheld" in told.text
        await asyncio.sleep(0.2)  # on a machine that is too busy to decide it is asked again
    raise AssertionError("nothing was decided for a long time")


async def know(installed: Installation, value: str, times: int = 6) -> set[bool]:
    """What the workers know that so many connections come to."""
    return {await is_withheld(installed, value) for _ in range(times)}


def holds(folder: Path, *values: str) -> list[str]:
    """The files that show a value; what the agent itself has said here is no matter."""
    files = [path for path in folder.rglob("*") if path.is_file() and "bodies" not in path.parts]
    assert files
    return [p.name for p in files if any(v.encode() in p.read_bytes() for v in values)]


@pytest.mark.parametrize("workers", [1, 2])
def test_every_worker_uses_a_value_when_the_command_returns(
    tmp_path: Path, workers: int, capfd: pytest.CaptureFixture[str]
) -> None:
    async def story() -> None:
        mounted = tmp_path / "mounted"
        mounted.write_text(THREE)
        async with serving() as there:
            installed = installed_at(tmp_path / "one", there.url, mounted, workers=workers)
            installed.give_token()
            await rotate(installed, mounted, workers)
        assert holds(installed.data, ONE, TWO, THREE, FOUR) == []

    async def rotate(installed: Installation, mounted: Path, workers: int) -> None:
        async with planes(installed) as [running]:
            assert await know(installed, ONE, 3) == {False}
            await change(installed, ONE)
            assert await know(installed, ONE) == {True}
            await change(installed, TWO)
            assert await know(installed, TWO) == {True}
            assert await know(installed, ONE, 3) == {True}  # which some call may have still
            if workers > 1:  # one that starts later has what the others have
                victim = (await running.workers.status())[0]
                os.kill(victim.pid, signal.SIGKILL)
                await asyncio.sleep(0.5)
                async with asyncio.timeout(60):
                    while running.workers.readiness():  # noqa: ASYNC110 (tells nobody)
                        await asyncio.sleep(0.05)
                assert await know(installed, TWO) == {True}
            assert await know(installed, THREE, 3) == {True}
            await asyncio.to_thread(mounted.write_text, FOUR)
            async with asyncio.timeout(60):
                while await know(installed, FOUR, 1) != {True}:  # noqa: ASYNC110 (tells nobody)
                    await asyncio.sleep(0.2)
            await change(installed, None)
            assert await know(installed, TWO, 3) == {True}  # as above

    asyncio.run(story())
    captured = capfd.readouterr()
    assert not [value for value in (ONE, TWO, THREE, FOUR) if value in captured.out + captured.err]


def test_every_plane_of_a_database_uses_it_too(postgresql_url: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with serving() as there:
            await share(there)

    async def share(there: Running) -> None:
        mounted = tmp_path / "mounted"
        mounted.write_text(THREE)
        both = [
            installed_at(tmp_path / name, there.url, mounted, database=postgresql_url)
            for name in ("one", "two")
        ]
        both[0].give_token()
        async with planes(*both):
            await change(both[0], ONE)
            # The second plane has not got the key: it says so, and goes on without the value.
            assert await know(both[0], ONE, 3) == {True}
            assert await know(both[1], ONE, 3) == {False}
            with pytest.raises(UsageError) as caught:
                await change(both[1], TWO)
            assert caught.value.code == "secret_key_missing"
            key = default_path(both[1].data)
            key.parent.mkdir(mode=0o700, exist_ok=True)
            key.touch(mode=0o600)
            key.write_bytes(default_path(both[0].data).read_bytes())
            await change(both[1], TWO)
            for each in both:
                assert await know(each, TWO, 3) == {True}
            assert await know(both[0], ONE, 3) == {True}  # which some call may have still
            assert await know(both[1], ONE, 3) == {False}  # never had here
            await change(both[0], None)
            assert await know(both[1], TWO, 3) == {True}

    asyncio.run(story())

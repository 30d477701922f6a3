"""What a worker that serves is asked; `test_worker_process.py` has it behind a link."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.app.test_worker_stores import start
from tests.gateways.world import World

from ringfence.app.change_message import SecretsChange
from ringfence.app.data_port import DataPort
from ringfence.app.message import CatchUp, Done, Learned, Measure, Measurement, Standings, Watched
from ringfence.app.sandbox_message import EndSandbox, ListSandboxes, SandboxList, SandboxTaken
from ringfence.app.serving import Serving, secrets_of
from ringfence.app.worker_stores import close_worker_stores, open_worker_stores
from ringfence.domain.lease import Recall, Report
from ringfence.domain.secret import SecretValue
from ringfence.enforcement.provider_object import Kept
from ringfence.stores.ledger import LedgerWriter

Story = Callable[[Serving, World], Awaitable[None]]
TOLD = SecretsChange(
    change=1,
    secrets=frozenset({"KEY"}),
    values=(SecretValue(organisation="acme", name="stored", value="s3cret"),),
)


def serve(folder: Path, story: Story) -> None:
    """Let a worker serve that has a whole plane's parts, and a log and bodies on disk."""

    async def told() -> None:
        world = World()
        log, bodies = open_worker_stores(start(folder))
        ledger = LedgerWriter(log, bodies)
        port = DataPort(world.worker.data_plane.handle)
        await story(Serving(world.worker, ledger, bodies, port), world)
        await close_worker_stores(ledger, bodies)

    asyncio.run(told())


async def answered(answer: Any) -> object:  # noqa: ANN401 (at once, or later)
    return await answer if asyncio.iscoroutine(answer) else answer


def test_it_answers_what_its_supervisor_wants_to_know(tmp_path: Path) -> None:
    async def story(serving: Serving, world: World) -> None:
        organisation = world.config.id
        assert await answered(serving.asked(CatchUp(with_bodies=True))) == Done()
        assert isinstance(await answered(serving.asked(Measure())), Measurement)
        standing = await answered(serving.asked(Watched(organisation=organisation)))
        assert isinstance(standing, Standings)
        assert await serving.of_sandboxes(ListSandboxes(organisation)) == SandboxList(())
        end = EndSandbox(organisation=organisation, sandbox="sbx_none", message="over")
        assert await serving.of_sandboxes(end) == SandboxTaken(is_taken=False)

    serve(tmp_path, story)


def test_who_holds_all_of_every_limit_has_nothing_to_give_back(tmp_path: Path) -> None:
    async def story(serving: Serving, _world: World) -> None:
        assert await answered(serving.asked(Recall(accounts=()))) == Report()

    serve(tmp_path, story)


def test_what_other_workers_have_seen_of_providers_is_known(tmp_path: Path) -> None:
    async def story(serving: Serving, world: World) -> None:
        runtime = world.worker.directory.agent("agt_triage")
        assert runtime is not None
        kept = Kept(organisation=world.config.id, owner="agt_triage", name="resp_1", tokens=7)
        serving.hear(Learned(kept=(kept,)))
        assert world.worker.objects.owned(runtime) == {"resp_1": 7}

    serve(tmp_path, story)


def test_one_that_keeps_all_runs_itself_is_told_of_no_change(tmp_path: Path) -> None:
    async def story(serving: Serving, _world: World) -> None:
        with pytest.raises(TypeError, match="registry"):
            serving.take(TOLD, {"KEY": "from the environment"})

    serve(tmp_path, story)


def test_secrets_come_from_the_environment_and_from_what_is_told() -> None:
    secrets = secrets_of(TOLD, {"KEY": "from the environment", "OTHER": "not named"})
    assert secrets.get("KEY").reveal() == "from the environment"
    assert secrets.variables() == frozenset({"KEY"})
    assert secrets.others() == TOLD.values

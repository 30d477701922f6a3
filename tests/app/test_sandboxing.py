import asyncio
import threading
from pathlib import Path

import pytest
from tests.enforcement.test_sandbox_registry import order
from tests.gateways.world import World
from tests.sandbox.plane import join_of
from tests.sandbox.test_plane_link import Watcher

from ringfence.app.sandboxing import Sandboxing, run_socket
from ringfence.domain.error import RingfenceError
from ringfence.domain.event import Observation
from ringfence.domain.monitoring import Close
from ringfence.domain.sandbox import SandboxEnd
from ringfence.sandbox import control_group
from ringfence.sandbox.plane_link import PlaneLink


def of(world: World, folder: Path) -> Sandboxing:
    worker = world.worker
    return Sandboxing(
        directory=worker.directory,
        invocations=worker.invocations,
        ledger=world.ledger,
        clock=world.clock,
        ids=world.ids,
        data_plane=worker.data_plane,
        injections=worker.sandboxing.injections,
        egress=worker.egress,
        shell=worker.shell,
        socket=run_socket(folder, 3),
    )


def test_each_worker_has_a_socket_of_its_own(tmp_path: Path) -> None:
    assert run_socket(tmp_path, 3) == f"{tmp_path}/sandboxes/3.sock"
    assert run_socket(tmp_path, 4) != run_socket(tmp_path, 3)


def test_a_plane_that_stops_ends_every_sandbox_on_the_record(tmp_path: Path) -> None:
    async def story() -> None:
        world = World()
        sandboxing = of(world, tmp_path)
        await sandboxing.listen()
        grant = await sandboxing.registry.open(order())
        watcher = Watcher()
        link = PlaneLink(watcher)
        await link.join(grant.socket, join_of(grant.ticket), ())
        await sandboxing.stop()
        assert watcher.closes == [Close(why=SandboxEnd.PLANE_STOPPED, message="the plane stops")]
        seen = [each for each in world.ledger.events if isinstance(each, Observation)]
        about = [each for each in seen if each.sandbox == grant.id]
        assert [each.what for each in about] == ["sandbox.started", "sandbox.ended"]
        assert about[-1].subject == "plane_stopped"
        assert about[-1].invocation == grant.invocation
        with pytest.raises(RingfenceError):
            await PlaneLink(watcher).join(grant.socket, join_of("late"), ())
        link.close()

    asyncio.run(story())


def test_what_earlier_sandboxes_left_is_swept_where_nobody_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept: list[str] = []
    monkeypatch.setattr(
        control_group, "sweep", lambda: swept.append(threading.current_thread().name)
    )

    async def story() -> None:
        sandboxing = of(World(), tmp_path)
        await sandboxing.listen()
        await sandboxing.stop()

    asyncio.run(story())
    assert len(swept) == 1
    assert swept != [threading.main_thread().name]


def test_one_that_nobody_listens_for_stops_at_once(tmp_path: Path) -> None:
    asyncio.run(_stopped(tmp_path))


async def _stopped(folder: Path) -> None:
    await of(World(), folder).stop()

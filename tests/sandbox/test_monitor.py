import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.planes import soon
from tests.sandbox.plain_jail import PlainJail
from tests.sandbox.plane import Plane, join_of

from ringfence.domain.error import RingfenceError, UnavailableError, UsageError
from ringfence.domain.monitoring import Evidence
from ringfence.domain.sandbox import SandboxEnd
from ringfence.sandbox import monitor as monitors
from ringfence.sandbox.monitor import Monitor, Part, Result
from ringfence.sandbox.plane_link import PlaneLink


class Speaker:
    """A part that says something at its end."""

    def __init__(self, link: PlaneLink) -> None:
        self.link = link
        self.has_begun = False

    def begin(self) -> None:
        self.has_begun = True

    async def finish(self) -> None:
        self.link.tell(Evidence(kind="last", body=b"words", time_us=1))


def monitor_of(jail: PlainJail, seconds: int | None = None) -> Monitor:
    return Monitor(jail, jail.listeners, seconds)


def no_parts(_link: PlaneLink) -> Sequence[Part]:
    return ()


def speaking(link: PlaneLink) -> Sequence[Part]:
    return (Speaker(link),)


async def watched(
    plane: Plane, *command: str, seconds: int | None = None, ticket: str = ""
) -> tuple[PlainJail, Monitor, "asyncio.Task[Result]"]:
    grant = await plane.yard.open()
    jail = PlainJail(*command, listeners=1)
    monitor = monitor_of(jail, seconds)
    running = asyncio.create_task(
        monitor.run(str(plane.path), join_of(ticket or grant.ticket), speaking)
    )
    return jail, monitor, running


async def until(plane: Plane, text: str) -> None:
    try:
        await soon(lambda: any(text in each for each in plane.told))
    except TimeoutError:
        raise AssertionError(f"{text} was never told: {plane.told}") from None


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -15 $$", 143)]
)
def test_the_commands_exit_code_is_kept_and_recorded(
    tmp_path: Path, script: str, code: int
) -> None:
    async def story() -> None:
        plane = Plane(tmp_path)
        _, _, running = await watched(plane, "sh", "-c", script)
        assert await running == Result(exit_code=code)
        ((why, ended),) = plane.yard.record.ends
        assert why is SandboxEnd.EXITED
        assert ended is not None
        assert ended.exit_code == code
        assert (ended.cpu_us, ended.memory_bytes) == (750_000, 4096)
        await plane.close()

    asyncio.run(story())


def test_an_end_is_noticed_where_processes_have_no_descriptors(tmp_path: Path) -> None:
    async def story() -> None:
        plane = Plane(tmp_path)
        grant = await plane.yard.open()
        jail = PlainJail("sh", "-c", "exit 4")
        os.close(jail.pidfd)
        jail.pidfd = -1
        monitor = monitor_of(jail)
        assert (await monitor.run(str(plane.path), join_of(grant.ticket), no_parts)).exit_code == 4
        await plane.close()

    asyncio.run(story())


def test_nothing_runs_before_the_start_is_on_record(tmp_path: Path) -> None:
    async def story() -> None:
        plane = Plane(tmp_path)
        mark = tmp_path / "ran"
        grant = await plane.yard.open()
        plane.yard.world.ledger.is_failing = True
        jail = PlainJail("touch", str(mark), listeners=1)
        with pytest.raises(UnavailableError):
            await monitor_of(jail).run(str(plane.path), join_of(grant.ticket), no_parts)
        assert is_gone(jail.pid)
        assert not mark.exists()
        await plane.close()

    asyncio.run(story())


@pytest.mark.parametrize("ticket", ["rf_tkt_wrong", ""])
def test_a_monitor_without_the_right_ticket_starts_nothing(tmp_path: Path, ticket: str) -> None:
    async def story() -> None:
        plane = Plane(tmp_path)
        jail = PlainJail("touch", str(tmp_path / "ran"))
        with pytest.raises(UsageError) as caught:
            await monitor_of(jail).run(str(plane.path), join_of(ticket), no_parts)
        assert caught.value.code == "ticket_unknown"
        assert is_gone(jail.pid)
        assert not (tmp_path / "ran").exists()
        await plane.close()

    asyncio.run(story())


def test_where_no_plane_listens_nothing_starts(tmp_path: Path) -> None:
    async def story() -> None:
        jail = PlainJail("touch", str(tmp_path / "ran"))
        with pytest.raises(RingfenceError) as caught:
            await monitor_of(jail).run(str(tmp_path / "no.sock"), join_of("t"), no_parts)
        assert caught.value.code == "plane_gone"
        assert is_gone(jail.pid)

    asyncio.run(story())


def test_what_is_said_last_comes_before_the_end(tmp_path: Path) -> None:
    async def story() -> None:
        plane = Plane(tmp_path)
        _, _, running = await watched(plane, "true")
        await running
        last = Evidence(kind="last", body=b"words", time_us=1)
        assert [said for _, said in plane.watch.told] == [last]
        await plane.close()

    asyncio.run(story())


def test_a_signal_to_the_monitor_reaches_the_command(tmp_path: Path) -> None:
    async def story() -> None:
        plane = Plane(tmp_path)
        mark = tmp_path / "caught"
        script = f"trap 'touch {mark}; exit 5' INT; touch {tmp_path}/ready; sleep 30 & wait"
        _, _, running = await watched(plane, "sh", "-c", script)
        await soon((tmp_path / "ready").exists)
        os.kill(os.getpid(), signal.SIGINT)
        assert (await running).exit_code == 5
        assert mark.exists()
        await plane.close()

    asyncio.run(story())


def test_a_signal_that_comes_before_the_command_reaches_it_when_it_is_there(tmp_path: Path) -> None:
    async def story() -> None:
        plane = Plane(tmp_path)
        script = f"trap 'exit 5' INT; touch {tmp_path}/ready; sleep 30 & wait"
        jail, _, running = await watched(plane, "sh", "-c", script)
        await soon((tmp_path / "ready").exists)
        jail.not_yet = 3
        os.kill(os.getpid(), signal.SIGINT)
        assert (await running).exit_code == 5
        assert jail.not_yet == 0
        await plane.close()

    asyncio.run(story())


def test_a_command_that_ignores_its_end_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        monkeypatch.setattr(monitors, "_GRACE_S", 0.2)
        plane = Plane(tmp_path)
        script = f"trap '' TERM HUP; touch {tmp_path}/ready; sleep 30"
        _, _, running = await watched(plane, "sh", "-c", script)
        await soon((tmp_path / "ready").exists)
        os.kill(os.getpid(), signal.SIGHUP)  # a terminal that is closed
        assert (await running).exit_code == 137
        await plane.close()

    asyncio.run(story())


def test_time_that_is_up_ends_it_and_is_recorded_as_that(tmp_path: Path) -> None:
    async def story() -> None:
        plane = Plane(tmp_path)
        jail, _, running = await watched(plane, "sleep", "30", seconds=1)
        result = await running
        assert result.exit_code == 124
        assert result.message == "its time is up: `seconds` of the agent's `limits`"
        assert [why for why, _ in plane.yard.record.ends] == [SandboxEnd.TIME]
        assert is_gone(jail.pid)
        await plane.close()

    asyncio.run(story())


def test_a_plane_that_ends_it_is_told_how_it_ended(tmp_path: Path) -> None:
    async def story() -> None:
        plane = Plane(tmp_path)
        jail, _, running = await watched(plane, "sleep", "30")
        await until(plane, "serve")
        (box,) = plane.yard.sandboxes.all()
        await plane.yard.sandboxes.close(box.id, SandboxEnd.STOPPED, "it was ended by somebody")
        assert await running == Result(exit_code=125, message="it was ended by somebody")
        ((why, ended),) = plane.yard.record.ends
        assert why is SandboxEnd.STOPPED
        assert ended is not None
        assert ended.signal == signal.SIGTERM
        assert is_gone(jail.pid)
        await plane.close()

    asyncio.run(story())


def test_a_plane_that_is_gone_takes_the_sandbox_with_it(tmp_path: Path) -> None:
    async def story() -> None:
        plane = Plane(tmp_path)
        jail, monitor, running = await watched(plane, "sleep", "30")
        await until(plane, "serve")
        monitor.lost("the other process has gone")
        result = await running
        assert result.exit_code == 3
        assert "gone" in result.message
        assert is_gone(jail.pid)
        await until(plane, "ended")
        await plane.close()

    asyncio.run(story())

import asyncio
from pathlib import Path

import pytest
from tests.planes import soon
from tests.sandbox.plane import Plane, join_of
from tests.sandbox.test_plane_link import Watcher

from ringfence.domain.error import RingfenceError
from ringfence.domain.monitoring import ExecAnswer, ExecAsked, Exited
from ringfence.domain.sandbox import SandboxEnd
from ringfence.sandbox.plane_link import PlaneLink
from ringfence.sandbox.plane_message import Message


def exec_of(number: int, path: str) -> ExecAsked:
    return ExecAsked(
        id=number,
        time_us=1,
        pid=number,
        parent=1,
        path=path,
        argv=(path,),
        directory="/project",
        exe="/usr/bin/bash",
    )


def test_a_monitor_that_is_gone_ends_its_sandbox_on_the_record(tmp_path: Path) -> None:
    async def story() -> None:
        plane = Plane(tmp_path)
        grant = await plane.yard.open()
        link = PlaneLink(Watcher())
        await link.join(str(plane.path), join_of(grant.ticket), ())
        link.close()
        await soon(lambda: plane.yard.record.ends != [])
        assert plane.yard.record.ends == [(SandboxEnd.MONITOR_LOST, None)]
        assert plane.yard.caller(grant) is None
        await plane.close()

    asyncio.run(story())


def test_a_monitor_that_says_nothing_is_taken_for_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        monkeypatch.setattr("ringfence.app.monitor_session.HEARTBEAT_S", 0.05)
        monkeypatch.setattr("ringfence.app.monitor_session.SILENCE_S", 0.2)
        plane = Plane(tmp_path)
        grant = await plane.yard.open()
        watcher = Watcher()
        link = PlaneLink(watcher)  # it speaks every two seconds
        await link.join(str(plane.path), join_of(grant.ticket), ())
        await asyncio.wait_for(watcher.is_lost.wait(), 60)
        assert [why for why, _ in plane.yard.record.ends] == [SandboxEnd.MONITOR_LOST]
        assert [each.why for each in watcher.closes] == [SandboxEnd.MONITOR_LOST]
        await plane.close()

    asyncio.run(story())


def test_whatever_waits_for_people_the_rest_comes_through(tmp_path: Path) -> None:
    """More than are answered at once on any other link: heartbeats and ends must not wait."""

    async def story() -> None:
        plane = Plane(tmp_path)
        grant = await plane.yard.open()
        link = PlaneLink(Watcher())
        await link.join(str(plane.path), join_of(grant.ticket), ())
        answers: list[Message | RingfenceError] = []
        for number in range(4_500):
            link.begin(exec_of(number, "/usr/bin/wait"), answers.append)
        link.tell(Exited(pid=1, time_us=2, exit_code=0))
        there = await link.ask(exec_of(4_500, "/usr/bin/ls"), 20)
        assert there == ExecAnswer(id=4_500, is_allowed=True)
        assert (grant.id, Exited(pid=1, time_us=2, exit_code=0)) in plane.watch.told
        assert answers == []
        link.close()
        assert len(answers) == 4_500, "whoever waits learns that there is no answer"
        await plane.close()

    asyncio.run(story())

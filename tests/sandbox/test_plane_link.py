import asyncio
import socket
from contextlib import closing
from pathlib import Path

import pytest
from tests.sandbox.plane import Plane, join_of

from ringfence.domain.error import RingfenceError, UnavailableError
from ringfence.domain.monitoring import Close, Ended, ExecAnswer, ExecAsked, Joined, PeerAnnounced
from ringfence.domain.sandbox import ListenerKind, SandboxEnd
from ringfence.sandbox import plane_link
from ringfence.sandbox.plane_link import PlaneLink


class Watcher:
    def __init__(self) -> None:
        self.closes: list[Close] = []
        self.losses: list[str] = []
        self.is_lost = asyncio.Event()

    async def end(self, close: Close) -> Ended:
        self.closes.append(close)
        return Ended(exit_code=1)

    def lost(self, why: str) -> None:
        self.losses.append(why)
        self.is_lost.set()


def listener() -> tuple[ListenerKind, socket.socket]:
    return ListenerKind.PROXY, socket.create_server(("127.0.0.1", 0))


def asked(path: str) -> ExecAsked:
    return ExecAsked(
        id=1, time_us=2, pid=3, parent=1, path=path, argv=(path,), directory="/", exe="/bin/sh"
    )


async def joined(plane: Plane) -> tuple[PlaneLink, Watcher, Joined]:
    grant = await plane.yard.open()
    watcher = Watcher()
    link = PlaneLink(watcher)
    kind, sock = listener()
    with closing(sock):
        done = await link.join(str(plane.path), join_of(grant.ticket), [(kind, sock)])
    return link, watcher, done


def test_joining_hands_over_the_listeners_and_names_the_invocation(tmp_path: Path) -> None:
    async def story() -> None:
        plane = Plane(tmp_path)
        link, _, done = await joined(plane)
        (box,) = plane.yard.sandboxes.all()
        assert done == Joined(sandbox=box.id, invocation=box.sandbox.invocation)
        assert plane.told[-1] == f"serve {box.id} 1"
        link.close()
        await plane.close()

    asyncio.run(story())


def test_commands_are_decided_by_the_plane(tmp_path: Path) -> None:
    async def story() -> None:
        plane = Plane(tmp_path)
        link, _, _ = await joined(plane)
        answers = await asyncio.gather(
            *(link.ask(asked(path), 5) for path in ("/bin/ls", "/bin/rm"))
        )
        assert answers == [ExecAnswer(id=1, is_allowed=True), ExecAnswer(id=1, is_allowed=False)]
        link.close()
        await plane.close()

    asyncio.run(story())


def test_an_announced_connection_is_the_sandboxs_when_the_plane_has_answered(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        plane = Plane(tmp_path)
        link, _, _ = await joined(plane)
        (box,) = plane.yard.sandboxes.all()
        await link.ask(PeerAnnounced(4711), 5)
        assert 4711 in box.announced
        link.close()
        await plane.close()

    asyncio.run(story())


def test_a_plane_that_closes_is_answered(tmp_path: Path) -> None:
    async def story() -> None:
        plane = Plane(tmp_path)
        link, watcher, done = await joined(plane)
        await plane.yard.sandboxes.close(done.sandbox, SandboxEnd.STOPPED, "enough")
        assert watcher.closes == [Close(why=SandboxEnd.STOPPED, message="enough")]
        assert plane.yard.record.ends == [(SandboxEnd.STOPPED, Ended(exit_code=1))]
        link.close()
        await plane.close()

    asyncio.run(story())


def test_a_plane_that_is_gone_is_noticed_once(tmp_path: Path) -> None:
    async def story() -> None:
        plane = Plane(tmp_path)
        link, watcher, _ = await joined(plane)
        await plane.close()
        await asyncio.wait_for(watcher.is_lost.wait(), 60)
        assert len(watcher.losses) == 1
        with pytest.raises(RingfenceError):
            await link.ask(asked("/bin/ls"), 5)

    asyncio.run(story())


def test_a_plane_that_says_nothing_is_taken_for_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        plane = Plane(tmp_path)  # it speaks every two seconds
        monkeypatch.setattr(plane_link, "HEARTBEAT_S", 0.05)
        monkeypatch.setattr(plane_link, "SILENCE_S", 0.2)
        _, watcher, _ = await joined(plane)
        await asyncio.wait_for(watcher.is_lost.wait(), 60)
        assert "said nothing" in watcher.losses[0]
        await plane.close()

    asyncio.run(story())


def test_nothing_is_asked_of_a_plane_that_was_not_joined(tmp_path: Path) -> None:
    async def story() -> None:
        link = PlaneLink(Watcher())
        with pytest.raises(UnavailableError):
            await link.ask(asked("/bin/ls"), 1)
        with pytest.raises(UnavailableError, match="cannot be joined"):
            await link.join(str(tmp_path / "none"), join_of("t"), ())

    asyncio.run(story())


def test_a_plane_is_joined_by_a_path_that_is_too_long_for_a_socket(tmp_path: Path) -> None:
    async def story() -> None:
        deep = tmp_path / ("d" * 100)
        deep.mkdir()
        plane = Plane(deep)
        link, _, done = await joined(plane)
        assert done.sandbox.startswith("sbx_")
        link.close()
        await plane.close()

    asyncio.run(story())

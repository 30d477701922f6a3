import asyncio
import os
import socket
import stat
from pathlib import Path

import msgspec
import pytest
from tests.planes import soon
from tests.sandbox.plane import Plane, join_of

from ringfence.domain.error import UsageError
from ringfence.domain.monitoring import Join
from ringfence.domain.sandbox import ListenerKind
from ringfence.transport.frame import frame


async def talk(path: Path, *pieces: bytes, fds: tuple[int, ...] = ()) -> bytes:
    """What a peer is answered that says this, until it is hung up on."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(0)
        peer.connect(str(path))
        for number, piece in enumerate(pieces):
            socket.send_fds(peer, [piece], list(fds) if number == 0 else [])
            await asyncio.sleep(0.01)
        said = b""
        while piece := await asyncio.wait_for(loop.sock_recv(peer, 4096), 60):
            said += piece
        return said


def first(join: Join) -> bytes:
    return frame(msgspec.msgpack.encode(join))


JOIN = join_of("rf_tkt_1")


@pytest.mark.parametrize(
    "said",
    [
        b"\xff\xff\xff\xff",
        frame(b"no message"),
        frame(msgspec.msgpack.encode({"ticket": 1})),
        first(msgspec.structs.replace(JOIN, kinds=(ListenerKind.PROXY,))),
        first(msgspec.structs.replace(JOIN, version="0.0.other")),
    ],
)
def test_who_says_nothing_sensible_is_hung_up_on(tmp_path: Path, said: bytes) -> None:
    async def story() -> None:
        plane = Plane(tmp_path)
        assert await talk(plane.path, said) == b""
        assert plane.told == []
        await plane.close()

    asyncio.run(story())


def test_descriptors_of_who_is_not_let_in_are_closed(tmp_path: Path) -> None:
    async def story() -> None:
        plane = Plane(tmp_path)
        with socket.create_server(("127.0.0.1", 0)) as given:
            before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 (numbers of descriptors)
            assert await talk(plane.path, frame(b"no message"), fds=(given.fileno(),)) == b""
            await soon(lambda: len(os.listdir("/proc/self/fd")) == before)  # noqa: PTH208 (likewise)
        await plane.close()

    asyncio.run(story())


def test_what_comes_in_pieces_is_understood(tmp_path: Path) -> None:
    async def story() -> None:
        plane = Plane(tmp_path)
        whole = first(JOIN)
        said = await talk(plane.path, whole[:2], whole[2:9], whole[9:] + frame(b"not a greeting"))
        assert len(said) < 200  # a greeting at most; then it is hung up on
        assert plane.told == []
        await plane.close()

    asyncio.run(story())


def test_only_its_owner_may_come_near(tmp_path: Path) -> None:
    async def story() -> None:
        plane = Plane(tmp_path)
        assert stat.S_IMODE(plane.path.stat().st_mode) == 0o600
        assert stat.S_IMODE(plane.path.parent.stat().st_mode) == 0o700
        await plane.close()

    asyncio.run(story())


def test_a_socket_of_an_earlier_plane_is_taken_over(tmp_path: Path) -> None:
    async def story() -> None:
        await Plane(tmp_path).close()
        plane = Plane(tmp_path)
        assert await talk(plane.path, frame(b"?")) == b""
        await plane.close()

    asyncio.run(story())


def test_where_no_socket_can_be_made_the_reason_is_told(tmp_path: Path) -> None:
    async def story() -> None:
        (tmp_path / "sandboxes").write_text("in the way")
        with pytest.raises(UsageError) as caught:
            Plane(tmp_path)
        assert caught.value.code == "data_folder_unusable"

    asyncio.run(story())


def test_no_monitor_is_served_after_the_end(tmp_path: Path) -> None:
    async def story() -> None:
        plane = Plane(tmp_path)
        plane.socket.shut()
        plane.socket.shut()
        with pytest.raises(OSError, match="refused"):
            await talk(plane.path, b"")
        await plane.close()

    asyncio.run(story())

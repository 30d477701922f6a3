import asyncio
import os
import socket
import sys
from pathlib import Path

import pytest

from ringfence.transport import unix_socket
from ringfence.transport.client import Pool
from ringfence.transport.http import Origin, Request, Response
from ringfence.transport.server import Server

DEPTHS = pytest.mark.parametrize(
    "depth",
    [
        0,
        pytest.param(
            unix_socket.ADDRESS_BYTES,
            marks=pytest.mark.skipif(sys.platform != "linux", reason="by way of /proc"),
        ),
    ],
)


@DEPTHS
def test_a_socket_is_reached_at_its_path_however_long(tmp_path: Path, depth: int) -> None:
    folder = tmp_path / ("d" * depth)
    folder.mkdir(exist_ok=True)
    path = folder / "here.sock"
    assert unix_socket.fits(str(path)) is (depth == 0)
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as connection:
        unix_socket.bind(listener, path)
        listener.listen()
        unix_socket.connect(connection, path)
        assert path.stat().st_mode & 0o777 == 0o600


@DEPTHS
def test_a_server_is_reached_by_a_client_at_a_path_however_long(tmp_path: Path, depth: int) -> None:
    folder = tmp_path / ("d" * depth)
    folder.mkdir(exist_ok=True)

    def handle(_request: Request, response: Response) -> None:
        response.send(200, [], b"here")

    async def story() -> None:
        server, pool = Server(handle), Pool()
        await server.listen_unix(folder / "here.sock")
        origin = Origin(scheme="unix", host=str(folder / "here.sock"), port=0)
        answer = await pool.request(
            origin, b"GET", b"/", [], b"", connect_timeout_s=60, idle_timeout_s=60
        )
        assert await answer.read(100) == b"here"
        await pool.close()
        await server.close()

    asyncio.run(story())


def test_a_socket_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        with pytest.raises(FileNotFoundError):
            unix_socket.connect(connection, tmp_path / "nowhere.sock")
        with pytest.raises(FileNotFoundError):
            unix_socket.connect(connection, tmp_path / ("d" * 200) / "nowhere.sock")


@pytest.mark.skipif(sys.platform != "linux", reason="SO_PEERCRED is Linux's")
def test_the_peers_user_is_known() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert unix_socket.peer_uid(ours) == os.geteuid()


def test_a_system_that_cannot_tell_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "SO_PEERCRED", raising=False)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert unix_socket.peer_uid(ours) is None

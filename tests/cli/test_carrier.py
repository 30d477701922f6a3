"""One request over a Unix socket, and every way in which its answer may not come."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ringfence.api import local
from ringfence.cli import carrier
from ringfence.cli.carrier import Order, SocketCarrier
from ringfence.domain.error import UnavailableError

OK = b"HTTP/1.1 200 OK\r\n"


@contextmanager
def answering(folder: Path, heard: list[bytes], *pieces: bytes) -> Iterator[str]:
    """A socket in a data folder that says these bytes to one caller and hangs up."""
    folder.mkdir(mode=0o700, exist_ok=True)
    with local.bind(folder) as server:
        server.listen(1)

        def answer() -> None:
            caller, _ = server.accept()
            with caller:
                heard.append(caller.recv(65_536))
                for piece in pieces:
                    caller.sendall(piece)

        thread = threading.Thread(target=answer)
        thread.start()
        yield local.address(folder)
        thread.join(60)


def carry(folder: Path, order: Order, *pieces: bytes) -> tuple[int, bytes, bytes]:
    """The status and the body of an answer, and what was sent for it."""
    heard: list[bytes] = []
    body = bytearray()
    statuses: list[int] = []

    def begin(status: int) -> "carrier.Write":
        statuses.append(status)
        return body.extend

    with answering(folder, heard, *pieces) as address:
        SocketCarrier(address).carry(order, begin)
    (status,) = statuses
    return status, bytes(body), heard[0]


def ask(target: str = "/api/v1/status", body: bytes = b"") -> Order:
    return Order(method="POST" if body else "GET", target=target, body=body)


@pytest.mark.parametrize(
    "pieces",
    [
        (OK + b"content-length: 5\r\n\r\nhello",),
        (OK + b"content-length: 5\r\n", b"\r\nhe", b"llo"),
        (OK + b"transfer-encoding: chunked\r\n\r\n2\r\nhe\r\n", b"3\r\nllo\r\n0\r\n\r\n"),
    ],
)
def test_an_answer_is_handed_over_as_it_comes(tmp_path: Path, pieces: tuple[bytes, ...]) -> None:
    status, body, heard = carry(tmp_path, ask(), *pieces)
    assert (status, body) == (200, b"hello")
    assert heard == b"GET /api/v1/status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"


def test_a_body_is_sent_with_its_length(tmp_path: Path) -> None:
    status, body, heard = carry(
        tmp_path, ask(body=b"{}"), b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n"
    )
    assert (status, body) == (204, b"")
    assert heard.endswith(b"content-type: application/json\r\ncontent-length: 2\r\n\r\n{}")


@pytest.mark.parametrize(
    "pieces",
    [
        (),
        (OK,),
        (OK + b"content-length: 5\r\n\r\nhell",),
        (OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",),
        (b"no HTTP at all\r\n\r\n",),
    ],
)
def test_what_is_cut_is_not_taken_for_whole(tmp_path: Path, pieces: tuple[bytes, ...]) -> None:
    with pytest.raises(UnavailableError) as caught:
        carry(tmp_path, ask(), *pieces)
    assert caught.value.code == "plane_gone"


def test_a_plane_that_says_nothing_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrier, "_TIMEOUT_S", 0.05)
    with local.bind(tmp_path) as server:
        server.listen(1)
        with pytest.raises(UnavailableError) as caught:
            SocketCarrier(local.address(tmp_path)).carry(ask(), lambda _: bytearray().extend)
    assert caught.value.code == "plane_silent"


def test_what_a_writer_raises_comes_through(tmp_path: Path) -> None:
    def write(_: bytes) -> None:
        raise BrokenPipeError

    with (
        answering(tmp_path, [], OK + b"content-length: 5\r\n\r\nhello") as address,
        pytest.raises(BrokenPipeError),
    ):
        SocketCarrier(address).carry(ask(), lambda _: write)


def test_a_socket_that_nobody_serves_is_no_plane(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(tmp_path / "left.sock"))
    with pytest.raises(UnavailableError) as caught:
        SocketCarrier(str(tmp_path / "left.sock")).carry(ask(), lambda _: bytearray().extend)
    assert caught.value.code == "plane_gone"

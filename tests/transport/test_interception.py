"""Connections that clients take for a proxy or for a server: what is read, kept and given away."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from tests.transport.conftest import Run

from ringfence.transport.deadline import Sweeper
from ringfence.transport.http import Request, Response
from ringfence.transport.interception import InterceptedConnection
from ringfence.transport.limits import ServerLimits
from ringfence.transport.reply import HandedOver, Reply
from ringfence.transport.server import render_json
from ringfence.transport.service import Service

Seen = list[tuple[bytes, bytes, bytes | None]]


class Echo(asyncio.Protocol):
    """What follows HTTP: says everything back in capitals."""

    def __init__(self, handed: HandedOver) -> None:
        self._transport = handed.transport
        handed.transport.set_protocol(self)
        handed.transport.resume_reading()
        if handed.data:
            self.data_received(handed.data)

    def data_received(self, data: bytes) -> None:
        self._transport.write(data.upper())


OVER = b"over"


async def talk(
    said: Mapping[bytes, bytes], *, is_proxy: bool, refuses: bool = False
) -> tuple[bytes, Seen]:
    """Say these pieces to a connection, each when the one before has brought what stands by it.

    `OVER` stands for the end of the connection. Gives what came back, and what was handled.
    """
    loop = asyncio.get_running_loop()
    seen: Seen = []

    def handle(request: Request, response: Response) -> None:
        seen.append((request.method, request.path, request.header(b"upgrade")))
        is_last = request.method == b"CONNECT" or request.header(b"upgrade") is not None
        if is_last and not refuses:
            assert isinstance(response, Reply)
            Echo(response.hand_over(b"HTTP/1.1 200 Connection established\r\n\r\n"))
        else:
            response.send(403 if refuses else 200, (), b"ok")

    service = Service(
        handle=handle,
        render_refusal=render_json,
        on_error=lambda _request, _error: None,
        limits=ServerLimits(linger_s=0.2),
        loop=loop,
        sweeper=Sweeper(loop, 0.05),
    )

    def make() -> InterceptedConnection:
        return InterceptedConnection(service, lambda _transport: handle, is_proxy=is_proxy)

    server = await loop.create_server(make, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    heard = b""
    for piece, awaited in said.items():
        writer.write(piece)
        await writer.drain()
        async with asyncio.timeout(60):
            while awaited not in heard and (data := await reader.read(65_536)):
                heard += data
    writer.close()
    server.close()
    await server.wait_closed()
    await asyncio.sleep(0.02)
    return heard, seen


CONNECT = b"CONNECT api.example:443 HTTP/1.1\r\nHost: api.example:443\r\n\r\n"
SOCKET = (
    b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: x\r\n\r\n"
)


@pytest.mark.parametrize("early", [b"", b"hello"])
def test_a_tunnel_is_given_away_with_what_was_said_already(run: Run[Any], early: bytes) -> None:
    heard, seen = run(
        talk({CONNECT + early: b"\r\n\r\n" + early.upper(), b"more": b"MORE"}, is_proxy=True)
    )
    assert seen == [(b"CONNECT", b"api.example:443", None)]
    assert heard == b"HTTP/1.1 200 Connection established\r\n\r\n" + early.upper() + b"MORE"


def test_the_offer_of_a_websocket_is_shown_and_what_follows_is_kept(run: Run[Any]) -> None:
    heard, seen = run(talk({SOCKET + b"frame": b"FRAME"}, is_proxy=False))
    assert seen == [(b"GET", b"/chat", b"websocket")]
    assert heard.endswith(b"\r\n\r\nFRAME")


@pytest.mark.parametrize("said", [CONNECT, SOCKET])
def test_a_refused_offer_ends_the_connection(run: Run[Any], said: bytes) -> None:
    after = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
    heard, seen = run(talk({said + after: OVER}, is_proxy=said is CONNECT, refuses=True))
    assert len(seen) == 1
    assert heard.startswith(b"HTTP/1.1 403 ")
    assert b"connection: close" in heard
    assert heard.count(b"HTTP/1.1") == 1


def test_requests_before_a_tunnel_are_answered_first(run: Run[Any]) -> None:
    first = b"GET http://a.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n"
    heard, seen = run(talk({first + CONNECT + b"tls": b"TLS"}, is_proxy=True))
    assert [method for method, _, _ in seen] == [b"GET", b"CONNECT"]
    assert heard.endswith(b"established\r\n\r\nTLS")


@pytest.mark.parametrize(
    ("said", "is_proxy", "status"),
    [
        (CONNECT, False, b"403"),
        (b"GET http://a.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n", False, b"400"),
        (b"GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n", True, b"400"),
        (b"GET ftp://a.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n", True, b"400"),
        (b"GET https://a.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n", True, b"400"),
        (SOCKET.replace(b"websocket", b"h2c"), False, b"403"),
        (SOCKET.replace(b"websocket", b"h2c, websocket"), False, b"403"),
        (SOCKET.replace(b"GET", b"POST"), False, b"403"),
        (SOCKET[:-2] + b"Content-Length: 5\r\n\r\nhello", False, b"400"),
        (CONNECT[:-2] + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", True, b"400"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", False, b"505"),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nHost: b:1\r\n\r\n", True, b"400"),
    ],
)
def test_what_may_be_read_in_two_ways_is_refused(
    run: Run[Any],
    said: bytes,
    is_proxy: bool,  # noqa: FBT001 (a case)
    status: bytes,
) -> None:
    heard, seen = run(talk({said: b"\r\n\r\n"}, is_proxy=is_proxy))
    assert heard.startswith(b"HTTP/1.1 " + status), heard
    assert seen == []


def test_who_floods_a_tunnel_before_its_answer_is_cut(run: Run[Any]) -> None:
    async def flood() -> None:
        loop = asyncio.get_running_loop()
        left = asyncio.Event()

        async def handle(_request: Request, response: Response) -> None:
            response.on_disconnect(left.set)
            await left.wait()

        service = Service(
            handle=handle,
            render_refusal=render_json,
            on_error=lambda _request, _error: None,
            limits=ServerLimits(),
            loop=loop,
            sweeper=Sweeper(loop),
        )

        def make() -> InterceptedConnection:
            return InterceptedConnection(service, lambda _transport: handle, is_proxy=True)

        server = await loop.create_server(make, "127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        writer.write(CONNECT + b"x" * 300_000)
        async with asyncio.timeout(60):
            await left.wait()
        writer.close()
        server.close()
        await asyncio.sleep(0.02)

    run(flood())

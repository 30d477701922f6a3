"""Offers of another protocol to an upstream."""

import asyncio
from typing import Any

import pytest
from tests.transport.conftest import Run

from ringfence.domain.error import PeerError
from ringfence.transport.client import Pool
from ringfence.transport.http import Origin
from ringfence.transport.switching import SWITCHING, Offered

TAKEN = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"


async def offer(answer: bytes) -> tuple[Offered, bytes, bytes]:
    """Offer a WebSocket to an upstream that says this; the request it got, what came after."""
    asked: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    pool = Pool()
    origin = Origin(scheme="http", host="127.0.0.1", port=server.sockets[0].getsockname()[1])
    try:
        offered = await pool.offer(
            origin,
            b"/chat",
            [(b"sec-websocket-key", b"x"), (b"connection", b"evil"), (b"host", b"evil")],
            b"websocket",
            connect_timeout_s=60,
            idle_timeout_s=60,
        )
        rest = b""
        if offered.answer.status == SWITCHING:
            transport, rest = offered.line.hand_over()
            transport.abort()
        return offered, asked[0], rest
    finally:
        await pool.close()
        server.close()
        await asyncio.sleep(0.02)


def test_an_upstream_that_takes_the_offer_is_given_away_with_what_it_said(run: Run[Any]) -> None:
    offered, request, rest = run(offer(TAKEN + b"frame"))
    assert offered.answer.status == SWITCHING
    assert rest == b"frame"
    lines = request.split(b"\r\n")
    assert b"connection: upgrade" in lines
    assert b"upgrade: websocket" in lines
    assert b"evil" not in request


def test_an_upstream_may_say_no(run: Run[Any]) -> None:
    offered, _, _ = run(offer(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"))
    assert offered.answer.status == 403


def test_what_was_not_offered_is_not_taken(run: Run[Any]) -> None:
    with pytest.raises(PeerError):
        run(offer(TAKEN.replace(b"websocket", b"h2c")))

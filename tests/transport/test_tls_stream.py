"""TLS that begins on a connection which has begun already."""

import asyncio
import contextlib
import ssl
from typing import Any

import pytest
from tests.transport.conftest import Run

from ringfence.transport.certificate import SandboxAuthority
from ringfence.transport.clock import SystemClock
from ringfence.transport.deadline import Sweeper
from ringfence.transport.greeting import Greeting
from ringfence.transport.limits import ServerLimits
from ringfence.transport.server import render_json
from ringfence.transport.service import Service
from ringfence.transport.tls_stream import TlsStream

AUTHORITY = SandboxAuthority("test", SystemClock())


class Above(asyncio.Protocol):
    """Says everything back; remembers what happened."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.received = b""
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.events.append("made")
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        if data == b"bye":
            self.transport.close()
        elif data == b"cut":
            self.transport.abort()
        else:
            self.transport.write(data)

    def pause_writing(self) -> None:
        self.events.append("paused")

    def resume_writing(self) -> None:
        self.events.append("resumed")

    def connection_lost(self, _error: Exception | None) -> None:
        self.events.append("lost")


class Place:
    """A listener whose connections begin TLS after their first bytes were read."""

    def __init__(self, timeout_s: float = 5.0) -> None:
        loop = asyncio.get_running_loop()
        self.service = Service(
            handle=lambda _request, _response: None,
            render_refusal=render_json,
            on_error=lambda _request, _error: None,
            limits=ServerLimits(headers_s=timeout_s),
            loop=loop,
            sweeper=Sweeper(loop, 0.02),
        )
        self.above = Above()
        self.failures: list[str] = []
        self.over = 0
        self.taken: list[asyncio.Transport] = []

    async def open(self) -> int:
        loop = asyncio.get_running_loop()
        make = lambda: Greeting(self._decide, self.service)  # noqa: E731 (a factory)
        self.server = await loop.create_server(make, "127.0.0.1", 0)
        port: int = self.server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        """Leave nothing open."""
        self.server.close()
        for transport in self.taken:
            transport.abort()
        await asyncio.sleep(0.02)

    def _count(self) -> None:
        self.over += 1

    def _decide(self, greeting: Greeting, data: bytes) -> None:
        self.taken.append(greeting.take())
        stream = TlsStream(
            self.taken[-1],
            AUTHORITY.leaf("api.example"),
            self.above,
            service=self.service,
            failed=self.failures.append,
            over=self._count,
        )
        stream.begin(data)


def trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cadata=AUTHORITY.pem.decode())


async def connected(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(
        "127.0.0.1", port, ssl=trusting(), server_hostname="api.example"
    )


@pytest.mark.parametrize("size", [1, 1000, 16_385, 3_000_000])
def test_what_is_said_arrives_and_what_is_answered_comes_back(run: Run[Any], size: int) -> None:
    async def talk() -> None:
        place = Place()
        reader, writer = await connected(await place.open())
        said = bytes(size)
        writer.write(said)
        async with asyncio.timeout(60):
            assert await reader.readexactly(size) == said
        writer.close()
        await place.close()
        assert place.above.events[0] == "made"
        assert place.failures == []

    run(talk())


def test_a_client_that_takes_nothing_holds_up_whoever_writes(run: Run[Any]) -> None:
    async def talk() -> None:
        place = Place()
        reader, writer = await connected(await place.open())
        writer.write(b"x")
        await reader.readexactly(1)
        place.above.transport.write(bytes(8_000_000))
        assert place.above.events == ["made", "paused"]
        assert place.above.transport.get_write_buffer_size() > 0
        async with asyncio.timeout(60):
            await reader.readexactly(8_000_000)
            await asyncio.sleep(0.05)
        assert place.above.events == ["made", "paused", "resumed"]
        writer.close()
        await place.close()

    run(talk())


@pytest.mark.parametrize("word", [b"bye", b"cut"])
def test_who_is_above_may_end_it(run: Run[Any], word: bytes) -> None:
    async def talk() -> None:
        place = Place()
        reader, writer = await connected(await place.open())
        writer.write(word)
        async with asyncio.timeout(60):
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()
            while place.above.events[-1] != "lost":  # noqa: ASYNC110 (nothing else tells of it)
                await asyncio.sleep(0.01)
        await place.close()

    run(talk())


def test_a_client_that_does_not_trust_us_is_told_of(run: Run[Any]) -> None:
    async def talk() -> None:
        place = Place()
        port = await place.open()
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection(
                "127.0.0.1", port, ssl=ssl.create_default_context(), server_hostname="api.example"
            )
        async with asyncio.timeout(60):
            while not place.failures:  # noqa: ASYNC110 (nothing tells of it but the list)
                await asyncio.sleep(0.01)
        assert place.above.events in ([], ["made", "lost"])
        assert place.over == 1
        await place.close()

    run(talk())


def test_a_handshake_that_stands_still_is_cut(run: Run[Any]) -> None:
    async def talk() -> None:
        place = Place(timeout_s=0.05)
        reader, writer = await asyncio.open_connection("127.0.0.1", await place.open())
        writer.write(b"\x16\x03\x01")
        async with asyncio.timeout(60):
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
        assert place.failures == ["the handshake took too long"]
        assert place.over == 1
        writer.close()
        await place.close()

    run(talk())


def test_what_is_no_tls_is_refused(run: Run[Any]) -> None:
    async def talk() -> None:
        place = Place()
        reader, writer = await asyncio.open_connection("127.0.0.1", await place.open())
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(60):
            await reader.read()
        assert place.failures
        assert place.above.events == []
        writer.close()
        await place.close()

    run(talk())

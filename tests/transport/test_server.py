import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests.planes import soon

from ringfence.transport.http import Request, Response
from ringfence.transport.limits import ServerLimits
from ringfence.transport.server import Server
from ringfence.transport.tls import ServerTls

Run = Callable[[Coroutine[Any, Any, None]], None]

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


async def hello(request: Request, response: Response) -> None:
    response.send(200, [], request.path)


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return int(head[9:12]), await reader.readexactly(length)


async def ask(port: int, tls: ssl.SSLContext | None = None) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    writer.write(GET)
    try:
        return await read_answer(reader)
    finally:
        await close(writer)


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError, ssl.SSLError):
        await writer.wait_closed()


def test_a_server_answers_on_tcp_ipv6_unix_and_given_sockets(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        server = Server(hello)
        port = await server.listen("127.0.0.1", 0)
        await server.listen_unix(tmp_path / "s")
        sock = socket.create_server(("127.0.0.1", 0))
        await server.listen_on(sock)
        assert await ask(port) == (200, b"/")
        assert await ask(sock.getsockname()[1]) == (200, b"/")
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
        writer.write(GET)
        assert (await read_answer(reader))[0] == 200
        await close(writer)
        await server.drain(1)

    run(scenario())


def test_two_servers_share_a_port(run: Run) -> None:
    async def scenario() -> None:
        one, two = Server(hello), Server(hello)
        port = await one.listen("127.0.0.1", 0, reuse_port=True)
        assert await two.listen("127.0.0.1", port, reuse_port=True) == port
        await one.drain(0)
        assert await ask(port) == (200, b"/")
        await two.drain(0)

    run(scenario())


def test_draining_ends_what_runs_and_accepts_no_more(run: Run) -> None:
    async def slow(request: Request, response: Response) -> None:
        started.set()
        await asyncio.sleep(0.1)
        response.send(200, [], request.path)

    started = asyncio.Event()

    async def scenario() -> None:
        server = Server(slow)
        port = await server.listen("127.0.0.1", 0)
        _, idle = await asyncio.open_connection("127.0.0.1", port)
        running = asyncio.ensure_future(ask(port))
        await started.wait()
        await server.drain(5)
        assert await running == (200, b"/")
        assert server.connections == 0
        with pytest.raises(ConnectionError):
            await ask(port)
        await close(idle)

    run(scenario())


def test_while_it_drains_who_comes_may_be_told_so_and_is_not_waited_for(run: Run) -> None:
    async def slow(request: Request, response: Response) -> None:
        if started.is_set():
            response.send(503, [], b"shutting down")
            return
        started.set()
        await ending.wait()
        response.send(200, [], request.path)

    started, ending = asyncio.Event(), asyncio.Event()

    async def scenario() -> None:
        server = Server(slow)
        port = await server.listen("127.0.0.1", 0)
        running = asyncio.ensure_future(ask(port))
        await started.wait()
        draining = asyncio.ensure_future(server.drain(10, is_answering=True))
        await asyncio.sleep(0)
        assert await ask(port) == (503, b"shutting down")
        _, silent = await asyncio.open_connection("127.0.0.1", port)
        ending.set()
        assert await running == (200, b"/")
        async with asyncio.timeout(60):
            await draining
        assert server.connections == 0
        with pytest.raises(ConnectionError):
            await ask(port)
        await close(silent)

    run(scenario())


def test_what_is_cancelled_may_say_why(run: Run) -> None:
    async def endless(_request: Request, response: Response) -> None:
        response.start(200, [])
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            response.write(b"shutting down")
            response.end()

    started = asyncio.Event()

    async def scenario() -> None:
        server = Server(endless)
        port = await server.listen("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET)
        await started.wait()
        await server.drain(0)
        assert (await reader.read()).endswith(b"shutting down\r\n0\r\n\r\n")
        await close(writer)

    run(scenario())


def test_what_outlasts_the_grace_is_cut_and_cancelled(run: Run) -> None:
    async def endless(_request: Request, response: Response) -> None:
        response.start(200, [])
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    started = asyncio.Event()
    ended: list[str] = []

    async def scenario() -> None:
        server = Server(endless)
        port = await server.listen("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET)
        await started.wait()
        await server.drain(0.05)
        assert ended == ["cancelled"]
        assert server.connections == 0
        with contextlib.suppress(ConnectionError):
            assert not (await reader.read()).endswith(b"0\r\n\r\n")
        await close(writer)

    run(scenario())


def test_a_slow_head_is_answered_with_408_while_others_are_served(run: Run) -> None:
    async def scenario() -> None:
        server = Server(hello, limits=ServerLimits(headers_s=0.3))
        port = await server.listen("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def trickle() -> None:
            with contextlib.suppress(ConnectionError):
                for byte in GET[:-1] * 50:
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(0.02)

        trickling = asyncio.ensure_future(trickle())
        assert await ask(port) == (200, b"/")
        async with asyncio.timeout(60):
            assert (await read_answer(reader))[0] == 408
        trickling.cancel()
        await close(writer)
        await server.drain(0)

    run(scenario())


def test_connections_over_the_limit_get_503_and_the_others_go_on(run: Run) -> None:
    async def scenario() -> None:
        server = Server(hello, limits=ServerLimits(connections=2))
        port = await server.listen("127.0.0.1", 0)
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        for reader, writer in held:
            writer.write(GET)
            assert await read_answer(reader) == (200, b"/")
        assert (await ask(port))[0] == 503
        for reader, writer in held:
            writer.write(GET)
            assert await read_answer(reader) == (200, b"/")
        await close(held.pop()[1])
        await soon(lambda: server.connections == 1)
        assert (await ask(port))[0] == 200
        await close(held.pop()[1])
        await server.drain(0)

    run(scenario())


def test_a_huge_body_is_refused_early_and_the_client_sees_it(run: Run) -> None:
    async def limited(request: Request, _response: Response) -> None:
        await request.read(1 << 20)

    async def scenario() -> None:
        server = Server(limited)
        port = await server.listen("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        answer = asyncio.ensure_future(read_answer(reader))
        sent = 0
        while sent < 100 << 20 and not answer.done():
            writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
            sent += 0x10000
            await writer.drain()
            await asyncio.sleep(0)
        status, body = await answer
        assert status == 413
        assert b"request_too_large" in body
        assert sent < 20 << 20
        await close(writer)
        await server.drain(0)

    run(scenario())


def test_a_slow_reader_bounds_what_the_server_keeps(run: Run) -> None:
    """The handler can be ahead of its client by no more than the buffers in between."""
    total = 64 << 20
    written = 0

    async def pour(_request: Request, response: Response) -> None:
        nonlocal written
        response.start(200, [], content_length=total)
        while written < total:
            response.write(b"x" * 65_536)
            written += 65_536
            await response.drain()
        response.end()

    async def scenario() -> None:
        server = Server(pour)
        port = await server.listen("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET)
        await reader.readuntil(b"\r\n\r\n")
        before = -1
        while written != before:
            before = written
            await asyncio.sleep(0.05)
        assert written < total // 2
        assert len(await reader.readexactly(total)) == total
        await close(writer)
        await server.drain(0)

    run(scenario())


def test_a_slow_handler_bounds_what_the_client_can_send(run: Run) -> None:
    async def lazy(request: Request, response: Response) -> None:
        await gate.wait()
        total = 0
        async for chunk in request.chunks():
            total += len(chunk)
        response.send(200, [], b"%d" % total)

    gate = asyncio.Event()
    total = 64 << 20

    async def scenario() -> None:
        server = Server(lazy)
        port = await server.listen("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % total)
        sent = 0

        async def send() -> None:
            nonlocal sent
            while sent < total:
                writer.write(b"x" * 65_536)
                sent += 65_536
                await writer.drain()

        sending = asyncio.ensure_future(send())
        before = -1
        while sent != before:
            before = sent
            await asyncio.sleep(0.05)
        assert sent < total // 2
        gate.set()
        await sending
        assert await read_answer(reader) == (200, b"%d" % total)
        await close(writer)
        await server.drain(0)

    run(scenario())


def certificate(authority: trustme.CA, folder: Path) -> tuple[Path, Path]:
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    (folder / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    return folder / "cert.pem", folder / "key.pem"


def test_a_renewed_certificate_is_offered_without_a_restart(run: Run, tmp_path: Path) -> None:
    old, new = trustme.CA(), trustme.CA()
    tls = ServerTls(*certificate(old, tmp_path))

    def trusting(authority: trustme.CA) -> ssl.SSLContext:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        return context

    async def scenario() -> None:
        server = Server(hello)
        port = await server.listen("127.0.0.1", 0, tls=tls)
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting(old))
        writer.write(GET)
        assert await read_answer(reader) == (200, b"/")
        certificate(new, tmp_path)
        server.reload_certificates()
        assert await ask(port, trusting(new)) == (200, b"/")
        with pytest.raises(ssl.SSLCertVerificationError):
            await ask(port, trusting(old))
        writer.write(GET)  # an open connection goes on
        assert await read_answer(reader) == (200, b"/")
        await close(writer)
        await server.drain(1)

    run(scenario())


def test_a_failed_handshake_harms_nobody(run: Run, tmp_path: Path) -> None:
    authority = trustme.CA()
    tls = ServerTls(*certificate(authority, tmp_path))
    met: list[dict[str, Any]] = []

    async def scenario() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: met.append(context))
        server = Server(hello)
        port = await server.listen("127.0.0.1", 0, tls=tls)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET)
        with contextlib.suppress(ConnectionError):
            assert not (await reader.read()).startswith(b"HTTP")
        await close(writer)
        context = ssl.create_default_context()
        authority.configure_trust(context)
        assert await ask(port, context) == (200, b"/")
        await server.drain(1)

    run(scenario())


def test_without_a_hook_a_failing_handler_is_told_to_the_loop(run: Run) -> None:
    async def fail(_request: Request, _response: Response) -> None:
        raise ValueError("broken")

    met: list[str] = []

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: met.append(str(context.get("exception"))))
        server = Server(fail)
        port = await server.listen("127.0.0.1", 0)
        status, body = await ask(port)
        assert status == 500
        assert b"broken" not in body
        assert met == ["broken"]
        await server.drain(0)

    run(scenario())


def test_a_connection_that_is_not_admitted_is_dropped_unheard(run: Run) -> None:
    async def scenario() -> None:
        admitted: set[int] = set()
        server = Server(hello, admits=admitted.__contains__)
        port = await server.listen("127.0.0.1", 0)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await ask(port)
        own = socket.socket()
        own.bind(("127.0.0.1", 0))
        admitted.add(own.getsockname()[1])
        own.settimeout(0)
        await asyncio.get_running_loop().sock_connect(own, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=own)
        writer.write(GET)
        assert (await read_answer(reader))[0] == 200
        await close(writer)
        await server.drain(1)

    run(scenario())

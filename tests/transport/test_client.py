import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests.planes import soon

from ringfence.domain.error import PeerError, UnavailableError, UnsentError
from ringfence.transport.answer import Answer
from ringfence.transport.client import Pool, PreparedRequest
from ringfence.transport.http import Origin, Request, Response, UpstreamResponse
from ringfence.transport.limits import ClientLimits
from ringfence.transport.resolver import Resolver
from ringfence.transport.server import Server
from ringfence.transport.tls import ServerTls, client_context
from ringfence.transport.upload import Upload

Run = Callable[[Coroutine[Any, Any, None]], None]
Handle = Callable[[Request, Response], Coroutine[Any, Any, None]]
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
LIMIT = 1 << 30


def at(port: int, host: str = "127.0.0.1", scheme: str = "http") -> Origin:
    return Origin(scheme=scheme, host=host, port=port)


async def ask(  # noqa: PLR0913 (one request has these parts)
    pool: Pool,
    origin: Origin,
    *,
    method: bytes = b"POST",
    target: bytes = b"/",
    body: bytes = b"hello",
    connect_timeout_s: float = 60,
    idle_timeout_s: float = 60,
) -> Answer:
    return await pool.request(
        origin,
        method,
        target,
        [(b"x", b"y")],
        body,
        connect_timeout_s=connect_timeout_s,
        idle_timeout_s=idle_timeout_s,
    )


@contextlib.asynccontextmanager
async def upstream(talk: Talk) -> AsyncIterator[tuple[int, list[int]]]:
    """A hand-written upstream: its port, and how many connections it took."""
    taken: list[int] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.append(1)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await talk(reader, writer)
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], taken
    await asyncio.sleep(0.01)


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
    return head + await reader.readexactly(length)


async def echo(request: Request, response: Response) -> None:
    body = await request.read(LIMIT)
    response.send(200, [(b"path", request.path)], request.method + b" " + body)


def test_connections_are_used_again_the_latest_first(run: Run) -> None:
    ports: list[str] = []

    async def handle(request: Request, response: Response) -> None:
        body = await request.read(10)
        if body == b"wait":
            await asyncio.sleep(0.05)
        response.send(200, [], b"")

    async def scenario() -> None:
        server = Server(handle)
        port = await server.listen("127.0.0.1", 0)
        pool = Pool()
        for _ in range(3):
            await ask(pool, at(port))
        assert server.connections == 1
        await asyncio.gather(*[ask(pool, at(port), body=b"wait") for _ in range(3)])
        assert server.connections == 3
        for _ in range(3):
            await ask(pool, at(port))
        assert server.connections == 3
        await pool.close()
        await server.drain(1)
        assert ports == []

    run(scenario())


def test_large_bodies_pass_both_ways(run: Run) -> None:
    async def scenario() -> None:
        server = Server(echo)
        port = await server.listen("127.0.0.1", 0)
        pool = Pool()
        body = bytes(range(256)) * 40_000
        answer = await ask(pool, at(port), body=body)
        assert await answer.read(LIMIT) == b"POST " + body
        assert await (await ask(pool, at(port), body=b"")).read(LIMIT) == b"POST "
        assert server.connections == 1
        await pool.close()
        await server.drain(1)

    run(scenario())


def test_ipv6_is_spoken(run: Run) -> None:
    async def handle(request: Request, response: Response) -> None:
        response.send(200, [], request.header(b"host") or b"")

    async def scenario() -> None:
        server = Server(handle)
        try:
            port = await server.listen("::1", 0)
        except OSError:
            pytest.skip("this machine has no IPv6")
        pool = Pool()
        answer = await ask(pool, at(port, "::1"))
        assert await answer.read(LIMIT) == b"[::1]:%d" % port
        await pool.close()
        await server.drain(1)

    run(scenario())


def test_every_address_of_a_name_is_tried(run: Run) -> None:
    async def lookup(_host: str, _port: int) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]

    async def scenario() -> None:
        server = Server(echo)
        port = await server.listen("127.0.0.1", 0)
        pool = Pool(resolver=Resolver(30, lookup))
        answer = await ask(pool, at(port, "model.example"))
        assert answer.status == 200
        await pool.close()
        await server.drain(1)

    run(scenario())


def test_no_connection_is_an_unsent_request(run: Run) -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        pool = Pool()
        with pytest.raises(UnavailableError) as caught:
            await ask(pool, at(port))
        assert (caught.value.code, type(caught.value)) == ("provider_unavailable", UnsentError)
        await pool.close()

    run(scenario())


def test_an_unknown_name_is_an_unsent_request(run: Run) -> None:
    async def lookup(_host: str, _port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "name unknown")

    async def scenario() -> None:
        pool = Pool(resolver=Resolver(30, lookup))
        with pytest.raises(UnavailableError) as caught:
            await ask(pool, at(80, "model.example"))
        assert (caught.value.code, type(caught.value)) == ("provider_unavailable", UnsentError)
        await pool.close()

    run(scenario())


def test_a_connection_that_does_not_come_about_is_timed_out(run: Run) -> None:
    async def lookup(_host: str, _port: int) -> list[str]:
        await asyncio.sleep(10)
        return []

    async def scenario() -> None:
        pool = Pool(resolver=Resolver(30, lookup))
        with pytest.raises(UnavailableError) as caught:
            await ask(pool, at(80, "model.example"), connect_timeout_s=0.05)
        assert (caught.value.code, type(caught.value)) == ("provider_timeout", UnsentError)
        await pool.close()

    run(scenario())


def test_silence_is_timed_out_as_sent(run: Run) -> None:
    async def talk(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def scenario() -> None:
        async with upstream(talk) as (port, _):
            pool = Pool()
            with pytest.raises(UnavailableError) as caught:
                await ask(pool, at(port), idle_timeout_s=0.1)
            assert (caught.value.code, type(caught.value)) == ("provider_timeout", UnavailableError)
            await pool.close()

    run(scenario())


def test_a_connection_closed_while_idle_is_replaced_unnoticed(run: Run) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(EMPTY)

    async def scenario() -> None:
        async with upstream(talk) as (port, taken):
            pool = Pool()
            for _ in range(3):
                assert (await ask(pool, at(port))).status == 200
                idle = pool._shelves[at(port)].idle  # noqa: SLF001 (nothing else tells of it)
                async with asyncio.timeout(60):
                    while any(each.is_usable(ask_kernel=False) for each in idle):  # noqa: ASYNC110 (as above)
                        await asyncio.sleep(0.005)
            assert len(taken) == 3
            await pool.close()

    run(scenario())


def closing_after_the_first(count: list[bytes]) -> Talk:
    """Answers the first request of a connection, reads the second and closes without a word."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        count.append(await read_request(reader))
        writer.write(EMPTY)
        count.append(await read_request(reader))

    return talk


def test_a_request_that_may_have_been_acted_upon_is_never_sent_again(run: Run) -> None:
    got: list[bytes] = []

    async def scenario() -> None:
        async with upstream(closing_after_the_first(got)) as (port, taken):
            pool = Pool()
            await ask(pool, at(port))
            with pytest.raises(UnavailableError) as caught:
                await ask(pool, at(port))
            assert (caught.value.code, type(caught.value)) == (
                "provider_unavailable",
                UnavailableError,
            )
            assert len(got) == 2
            assert len(taken) == 1
            await pool.close()

    run(scenario())


def test_a_request_that_changes_nothing_is_sent_once_more(run: Run) -> None:
    got: list[bytes] = []

    async def scenario() -> None:
        async with upstream(closing_after_the_first(got)) as (port, taken):
            pool = Pool()
            for _ in range(2):
                answer = await ask(pool, at(port), method=b"GET", body=b"")
                assert answer.status == 200
            assert len(got) == 3
            assert len(taken) == 2
            await pool.close()

    run(scenario())


def test_a_new_connection_that_closes_is_not_tried_again(run: Run) -> None:
    async def talk(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await read_request(reader)

    async def scenario() -> None:
        async with upstream(talk) as (port, taken):
            pool = Pool()
            with pytest.raises(UnavailableError):
                await ask(pool, at(port), method=b"GET", body=b"")
            assert len(taken) == 1
            await pool.close()

    run(scenario())


def test_a_connection_that_closes_at_once_fails_at_once(run: Run) -> None:
    async def talk(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        pass

    async def scenario() -> None:
        async with upstream(talk) as (port, _):
            pool = Pool()
            async with asyncio.timeout(60):
                for _ in range(20):
                    with pytest.raises(UnavailableError) as caught:
                        await ask(pool, at(port), idle_timeout_s=60)
                    assert caught.value.code == "provider_unavailable"
            await pool.close()

    run(scenario())


def test_a_closed_pool_opens_nothing(run: Run) -> None:
    async def scenario() -> None:
        server = Server(echo)
        port = await server.listen("127.0.0.1", 0)
        pool = Pool()
        assert (await ask(pool, at(port))).status == 200
        await pool.close()
        with pytest.raises(UnavailableError) as caught:
            await ask(pool, at(port))
        assert type(caught.value) is UnsentError
        await server.drain(1)

    run(scenario())


def test_of_too_many_connections_those_that_rest_longest_are_closed(run: Run) -> None:
    """Else whoever may reach many hosts would use up the files of the process."""

    async def scenario() -> None:
        open_at: list[str] = []
        closed = asyncio.Event()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            where = str(writer.get_extra_info("sockname")[0])
            open_at.append(where)
            while await reader.read(4096):
                writer.write(EMPTY)
            open_at.remove(where)
            closed.set()
            writer.close()

        async def left(count: int) -> None:
            """Wait until only so many are open."""
            async with asyncio.timeout(60):
                while len(open_at) > count:
                    closed.clear()
                    await closed.wait()

        server = await asyncio.start_server(talk, "0.0.0.0", 0)  # noqa: S104 (every loopback address)
        port = server.sockets[0].getsockname()[1]
        pool = Pool(limits=ClientLimits(connections=3, idle_plain_s=1_000))
        prepared = pool.prepare(
            at(port, "127.0.0.2"), b"GET", b"/", [], connect_timeout_s=30, idle_timeout_s=30
        )
        for number in range(2, 9):
            answer = await ask(pool, at(port, f"127.0.0.{number}"), connect_timeout_s=30)
            await answer.read(LIMIT)
            await left(3)
            assert open_at[-1] == f"127.0.0.{number}"
        for number in range(3_000):  # many that are only asked for
            pool.prepare(
                at(number + 1, "127.1.0.1"),
                b"GET",
                b"/",
                [],
                connect_timeout_s=30,
                idle_timeout_s=30,
            )
        assert len(pool._shelves) <= 1_030  # noqa: SLF001 (its memory)
        assert await _status(pool, prepared) == 200  # of an origin that is forgotten
        await left(3)
        assert "127.0.0.2" in open_at
        await pool.close()
        with pytest.raises(UnsentError):
            await _status(pool, prepared)
        await left(0)
        server.close()

    run(scenario())


class _Taker:
    def __init__(self) -> None:
        self.found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def answered(self, upstream: UpstreamResponse) -> None:
        self.found.set_result(upstream.status)

    def unanswered(self, error: Exception) -> None:
        self.found.set_exception(error)


async def _status(pool: Pool, prepared: PreparedRequest) -> int:
    taker = _Taker()
    pool.send(prepared, b"", taker)
    async with asyncio.timeout(30):
        return await taker.found


def test_a_connection_rested_for_long_is_asked_of_the_kernel(run: Run) -> None:
    """The upstream's close is in the kernel, but the event loop has not seen it yet."""

    def serve_one(listener: socket.socket) -> socket.socket:
        connection, _ = listener.accept()
        connection.recv(65_536)
        connection.sendall(EMPTY)
        return connection

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        pool = Pool()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            for _ in range(2):
                serving = loop.run_in_executor(None, serve_one, listener)
                assert (await ask(pool, at(port))).status == 200
                connection = await serving
                line = pool._shelves[at(port)].idle[-1]  # noqa: SLF001 (as if it had rested)
                line.deadline -= 2
                connection.close()  # from here to the next request the loop does not turn
        await pool.close()

    run(scenario())


def test_an_early_answer_is_given_while_the_body_is_still_going_out(run: Run) -> None:
    async def refuse(request: Request, _response: Response) -> None:
        await request.read(1000)

    async def scenario() -> None:
        server = Server(refuse)
        port = await server.listen("127.0.0.1", 0)
        pool = Pool()
        answer = await ask(pool, at(port), body=b"x" * (30 << 20))
        assert answer.status == 413
        assert b"request_too_large" in await answer.read(LIMIT)
        await pool.close()
        await server.drain(1)

    run(scenario())


def test_leaving_a_request_closes_its_connection(run: Run) -> None:
    async def hang(_request: Request, response: Response) -> None:
        response.on_disconnect(left.set)
        arrived.set()
        await left.wait()

    left, arrived = asyncio.Event(), asyncio.Event()

    async def scenario() -> None:
        server = Server(hang)
        port = await server.listen("127.0.0.1", 0)
        pool = Pool()
        asking = asyncio.ensure_future(ask(pool, at(port)))
        await arrived.wait()
        asking.cancel()
        async with asyncio.timeout(60):
            await left.wait()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await pool.close()
        await server.drain(1)

    run(scenario())


def test_closing_the_pool_ends_what_is_in_progress(run: Run) -> None:
    async def hang(_request: Request, response: Response) -> None:
        response.start(200, [])
        response.on_disconnect(left.set)
        await left.wait()

    left = asyncio.Event()

    async def scenario() -> None:
        server = Server(hang)
        port = await server.listen("127.0.0.1", 0)
        pool = Pool()
        answer = await ask(pool, at(port))
        reading = asyncio.ensure_future(answer.read(LIMIT))
        await asyncio.sleep(0)
        await pool.close()
        with pytest.raises(PeerError):
            await reading
        await server.drain(1)

    run(scenario())


def test_requests_beyond_the_limit_wait_their_turn(run: Run) -> None:
    running: list[int] = []
    most: list[int] = []

    async def handle(request: Request, response: Response) -> None:
        running.append(1)
        most.append(len(running))
        await asyncio.sleep(0.01)
        running.pop()
        closes = [(b"connection", b"close")] if request.path == b"/close" else []
        response.send(200, closes, b"")

    async def scenario() -> None:
        server = Server(handle)
        port = await server.listen("127.0.0.1", 0)
        pool = Pool(limits=ClientLimits(connections_per_origin=2))
        found = await asyncio.gather(*[ask(pool, at(port)) for _ in range(10)])
        assert [answer.status for answer in found] == [200] * 10
        assert max(most) == 2
        await pool.close()
        await server.drain(1)

    run(scenario())


def test_a_place_is_given_on_when_connections_close(run: Run) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(EMPTY.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))

    async def scenario() -> None:
        async with upstream(talk) as (port, taken):
            pool = Pool(limits=ClientLimits(connections_per_origin=1))
            found = await asyncio.gather(*[ask(pool, at(port)) for _ in range(5)])
            assert [answer.status for answer in found] == [200] * 5
            assert len(taken) == 5
            await pool.close()

    run(scenario())


def test_waiting_for_a_turn_is_timed_out_as_unsent(run: Run) -> None:
    async def talk(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def scenario() -> None:
        async with upstream(talk) as (port, taken):
            pool = Pool(limits=ClientLimits(connections_per_origin=1))
            first = asyncio.ensure_future(ask(pool, at(port)))
            await soon(lambda: taken != [])
            with pytest.raises(UnavailableError) as caught:
                await ask(pool, at(port), connect_timeout_s=0.05)
            assert (caught.value.code, type(caught.value)) == ("provider_timeout", UnsentError)
            await pool.close()
            with pytest.raises(UnavailableError):
                await first

    run(scenario())


def test_an_idle_connection_is_closed_before_the_upstream_does(run: Run) -> None:
    async def scenario() -> None:
        server = Server(echo)
        port = await server.listen("127.0.0.1", 0)
        pool = Pool(limits=ClientLimits(idle_plain_s=0.1))
        await ask(pool, at(port))
        assert server.connections == 1
        async with asyncio.timeout(60):
            while server.connections:  # noqa: ASYNC110 (seen from outside only)
                await asyncio.sleep(0.02)
        await pool.close()
        await server.drain(1)

    run(scenario())


def test_memory_stays_bounded_while_a_reader_is_paused(run: Run) -> None:
    """The upstream can be ahead of a paused reader by no more than the buffers in between."""
    total = 64 << 20
    written = 0

    async def pour(_request: Request, response: Response) -> None:
        nonlocal written
        response.start(200, [])
        while written < total:
            response.write(b"x" * 65_536)
            written += 65_536
            await response.drain()
        response.end()

    class Counter:
        size = 0

        def __init__(self, answer: Answer) -> None:
            self.answer = answer
            self.ended = asyncio.get_running_loop().create_future()

        def data(self, chunk: bytes) -> None:
            if not self.size:
                self.answer.pause()
            self.size += len(chunk)

        def end(self) -> None:
            self.ended.set_result(None)

        def failed(self, error: Exception) -> None:
            self.ended.set_exception(error)

    async def scenario() -> None:
        server = Server(pour)
        port = await server.listen("127.0.0.1", 0)
        pool = Pool()
        answer = await ask(pool, at(port))
        counter = Counter(answer)
        answer.pipe(counter)
        before = -1
        while written != before:
            before = written
            await asyncio.sleep(0.05)
        assert written < total // 2
        assert counter.size < 1 << 20
        answer.resume()
        await counter.ended
        assert counter.size == total
        await pool.close()
        await server.drain(1)

    run(scenario())


def secured(authority: trustme.CA, folder: Path, name: str) -> ServerTls:
    issued = authority.issue_cert(name)
    issued.private_key_pem.write_to_path(folder / "key.pem")
    (folder / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    return ServerTls(folder / "cert.pem", folder / "key.pem")


def test_tls_is_spoken_to_a_private_authority_and_names_are_verified(
    run: Run, tmp_path: Path
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = secured(authority, tmp_path, "model.example")

    async def lookup(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, _context: None)  # the server's side of a refusal
        server = Server(echo)
        port = await server.listen("127.0.0.1", 0, tls=tls)
        trusting = Pool(tls=client_context(tmp_path / "ca.pem"), resolver=Resolver(30, lookup))
        body = b"x" * 300_000
        for _ in range(2):
            answer = await ask(trusting, at(port, "model.example", "https"), body=body)
            assert await answer.read(LIMIT) == b"POST " + body
        assert server.connections == 1
        strange = Pool(resolver=Resolver(30, lookup))
        for pool, name in ((trusting, "other.example"), (strange, "model.example")):
            with pytest.raises(UnavailableError) as caught:
                await ask(pool, at(port, name, "https"))
            assert (caught.value.code, type(caught.value)) == ("provider_unavailable", UnsentError)
            assert "certificate" in caught.value.message
        await trusting.close()
        await strange.close()
        await server.drain(1)

    run(scenario())


class Passing:
    """Passes an answer on to a client, who may leave."""

    def __init__(self, response: Response, answer: Answer) -> None:
        self.response = response
        self.answer = answer
        self.over = asyncio.Event()
        response.start(answer.status, [])
        response.on_pause(answer.pause, answer.resume)
        response.on_disconnect(self.leave)
        answer.pipe(self)

    def leave(self) -> None:
        self.answer.close()
        self.over.set()

    def data(self, chunk: bytes) -> None:
        self.response.write(chunk)

    def end(self) -> None:
        self.response.end()
        self.over.set()

    def failed(self, _error: Exception) -> None:
        self.response.abort()
        self.over.set()


def whimsical(chance: random.Random) -> Handle:
    """An upstream that echoes, streams or breaks off."""

    async def handle(request: Request, response: Response) -> None:
        body = await request.read(LIMIT)
        turn = chance.randrange(4)
        if turn == 0:
            response.send(200, [], body)
            return
        response.start(200, [])
        for _ in range(chance.randrange(12)):
            response.write(b"y" * chance.randrange(40_000))
            await response.drain()
        if turn == 1:
            response.abort()
        else:
            response.end()

    return handle


async def visit(port: int, chance: random.Random) -> None:
    """A client that perhaps does not end its request, reads a little and leaves."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    size = chance.choice([0, 10, 5000, 200_000])
    raw = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + b"z" * size
    writer.write(raw if chance.randrange(4) else raw[: chance.randrange(len(raw))])
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError):
        await asyncio.wait_for(reader.readexactly(chance.randrange(1, 200_000)), 0.1)
    writer.transport.abort()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


def test_a_relay_whose_peers_come_and_go_leaves_nothing_behind(run: Run) -> None:
    async def scenario() -> None:
        chance = random.Random(7)  # noqa: S311 (a repeatable play, no secret)
        errors: list[Exception] = []
        server = Server(whimsical(chance))
        origin = at(await server.listen("127.0.0.1", 0))
        pool = Pool(limits=ClientLimits(connections_per_origin=4))

        async def relay(request: Request, response: Response) -> None:
            body = await request.read(LIMIT)
            answer = await ask(pool, origin, body=body)
            await asyncio.sleep(0)
            await Passing(response, answer).over.wait()

        front = Server(relay, on_error=lambda _request, error: errors.append(error))
        port = await front.listen("127.0.0.1", 0)
        for _ in range(10):
            await asyncio.gather(*[visit(port, chance) for _ in range(10)])
        await front.drain(4)
        assert (front.connections, errors) == (0, [])
        assert (await ask(pool, origin)).status == 200  # no place was lost
        await pool.close()
        await server.drain(1)
        assert server.connections == 0

    run(scenario())


@pytest.mark.parametrize(
    ("target", "header"),
    [
        (b"/a b", (b"a", b"b")),
        (b"/a\r\nx: y", (b"a", b"b")),
        (b"/", (b"a", b"b\r\nc: d")),
        (b"/", (b"a", b"b\nc: d")),
        (b"/", (b"a\r\nc", b"d")),
        (b"/", (b"a", b"\0")),
    ],
)
def test_nothing_handed_in_can_add_a_line(target: bytes, header: tuple[bytes, bytes]) -> None:
    async def scenario() -> None:
        pool = Pool()
        with pytest.raises(ValueError, match="hold"):
            await pool.request(
                at(1), b"GET", target, [header], b"", connect_timeout_s=1, idle_timeout_s=1
            )
        await pool.close()

    asyncio.run(scenario())


def test_headers_of_one_hop_and_the_host_are_the_engines_own(run: Run) -> None:
    async def handle(request: Request, response: Response) -> None:
        seen.extend(request.headers)
        response.send(200, [(b"connection", b"close"), (b"transfer-encoding", b"x")], b"abc")

    seen: list[tuple[bytes, bytes]] = []

    async def scenario() -> None:
        server = Server(handle)
        port = await server.listen("127.0.0.1", 0)
        pool = Pool()
        given = [
            (b"host", b"evil"),
            (b"content-length", b"0"),
            (b"transfer-encoding", b"chunked"),
            (b"connection", b"upgrade"),
            (b"upgrade", b"h2c"),
            (b"expect", b"100-continue"),
            (b"kept", b"yes"),
        ]
        answer = await pool.request(
            at(port), b"POST", b"/", given, b"abc", connect_timeout_s=60, idle_timeout_s=60
        )
        assert await answer.read(3) == b"abc"
        assert seen == [
            (b"host", b"127.0.0.1:%d" % port),
            (b"kept", b"yes"),
            (b"content-length", b"3"),
        ]
        assert (b"content-length", b"3") in answer.headers
        assert not {b"connection", b"transfer-encoding"} & {name for name, _ in answer.headers}
        await pool.close()
        await server.drain(1)

    run(scenario())


def test_a_body_may_go_out_while_it_comes(run: Run) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            assert b"content-length: 6" in head
            assert await reader.readexactly(6) == b"abcdef"
            writer.write(EMPTY)

    class Taken:
        def __init__(self) -> None:
            self.answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def answered(self, upstream: UpstreamResponse) -> None:
            self.answer.set_result(upstream.status)

        def unanswered(self, error: Exception) -> None:
            self.answer.set_exception(error)

    async def scenario() -> None:
        async with upstream(talk) as (port, taken):
            pool = Pool()
            prepared = pool.prepare(
                at(port), b"PUT", b"/", (), connect_timeout_s=60, idle_timeout_s=60
            )
            for _ in range(2):
                upload, taker = Upload(6), Taken()
                pool.send(prepared, upload, taker)
                upload.write(b"abc")
                await upload.drain()
                upload.write(b"def")
                upload.end()
                assert await taker.answer == 200
            assert taken == [1]
            await pool.close()

    run(scenario())


def test_an_answer_before_the_end_of_a_body_costs_the_connection(run: Run) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(EMPTY)
        await reader.read()

    async def scenario() -> None:
        async with upstream(talk) as (port, taken):
            pool = Pool()
            prepared = pool.prepare(
                at(port), b"PUT", b"/", (), connect_timeout_s=60, idle_timeout_s=60
            )
            upload = Upload(None)
            loop = asyncio.get_running_loop()
            done: asyncio.Future[int] = loop.create_future()

            class Taken:
                def answered(self, upstream: UpstreamResponse) -> None:
                    done.set_result(upstream.status)

                def unanswered(self, error: Exception) -> None:
                    done.set_exception(error)

            pool.send(prepared, upload, Taken())
            assert await done == 200
            assert upload.is_over
            await upload.drain()
            await ask(pool, at(port))
            assert taken == [1, 1]
            await pool.close()

    run(scenario())


def test_a_prepared_request_at_another_target_is_as_one_prepared_for_it(run: Run) -> None:
    heard: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heard.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(EMPTY)

    class Taker:
        def __init__(self) -> None:
            self.done = asyncio.get_running_loop().create_future()

        def answered(self, upstream: UpstreamResponse) -> None:
            upstream.close()
            self.done.set_result(None)

        def unanswered(self, error: Exception) -> None:
            self.done.set_exception(error)

    async def story() -> None:
        async with upstream(talk) as (port, _):
            pool = Pool()

            def prepared(target: bytes) -> PreparedRequest:
                return pool.prepare(
                    at(port),
                    b"GET",
                    target,
                    [(b"x", b"y")],
                    connect_timeout_s=60,
                    idle_timeout_s=60,
                )

            first = prepared(b"/one?a")
            for each in (prepared(b"/two"), first.at(b"/two"), first.at(b"/else").at(b"/two")):
                taker = Taker()
                pool.send(each, b"", taker)
                await taker.done
            for wrong in (b"/a b", b"/a\r\nx: y", b"/a\n", b"/a\0"):
                with pytest.raises(ValueError, match="target"):
                    first.at(wrong)
                with pytest.raises(ValueError, match="target"):
                    prepared(wrong)
            await pool.close()

    run(story())
    assert heard[0].startswith(b"GET /two HTTP/1.1\r\nhost: ")
    assert len(set(heard)) == 1
    assert len(heard) == 3

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.domain.error import PeerError
from ringfence.testing.wire import ManualTransport
from ringfence.transport.connection import Connection
from ringfence.transport.deadline import Sweeper
from ringfence.transport.http import Handle, Request, Response, Work
from ringfence.transport.limits import ServerLimits
from ringfence.transport.server import render_json
from ringfence.transport.service import Service

Seen = tuple[bytes, bytes, bytes]

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@dataclass
class Peer:
    """A client's side of one connection, driven by hand."""

    handle: Handle | None = None
    limits: ServerLimits = field(default_factory=ServerLimits)
    seen: list[Seen] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)

    def __post_init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.service = Service(
            handle=self.handle or self.echo,
            render_refusal=render_json,
            on_error=lambda _request, error: self.errors.append(error),
            limits=self.limits,
            loop=loop,
            sweeper=Sweeper(loop),
        )
        self.connection = Connection(self.service)
        self.transport = ManualTransport(self.connection)

    async def echo(self, request: Request, response: Response) -> None:
        body = await request.read(1 << 20)
        self.seen.append((request.method, request.path, body))
        response.send(200, [(b"n", b"%d" % len(self.seen))], body)

    async def send(self, *parts: bytes) -> bytes:
        """Feed each part, let the handlers run, and give what was written so far."""
        for part in parts:
            self.transport.feed(part)
            await turns()
        return bytes(self.transport.written)

    def is_read_from(self) -> bool:
        return self.transport.is_reading_now

    async def leave(self) -> None:
        """End, so that nothing is left behind."""
        self.transport.lose()
        await turns()


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def answers(written: bytes, methods: Iterable[bytes] = ()) -> list[tuple[int, bytes]]:
    """Read answers with another implementation than ours."""
    found = []
    asked = [*methods] or [b"POST"] * written.count(b"HTTP/1.1 ")
    rest = written
    for method in asked:
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method=method, target="/", headers=[("host", "a")]))
        client.send(h11.EndOfMessage())
        client.receive_data(rest)
        status, body = 0, b""
        while True:
            event = client.next_event()
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                assert isinstance(event, h11.InformationalResponse), event
        found.append((status, body))
        rest = client.trailing_data[0]
    assert rest == b""
    return found


def status_of(written: bytes) -> int:
    return int(written[9:12]) if written else 0


# What is read


SMUGGLING = {
    "both lengths": POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both lengths, other order": CHUNKED[:-2] + b"Content-Length: 3\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    "two equal lengths": POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "a list of lengths": POST + b"Content-Length: 3, 3\r\n\r\nabc",
    "a signed length": POST + b"Content-Length: +3\r\n\r\nabc",
    "a negative length": POST + b"Content-Length: -3\r\n\r\nabc",
    "a hexadecimal length": POST + b"Content-Length: 0x3\r\n\r\nabc",
    "an underscore in the length": POST + b"Content-Length: 1_0\r\n\r\nabc",
    "an empty length": POST + b"Content-Length:\r\n\r\nabc",
    "a length beyond all bounds": POST + b"Content-Length: 99999999999999999999\r\n\r\nabc",
    "a coding before chunked": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a coding after chunked": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "another coding": POST + b"Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
    "the identity coding": POST + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "a coding twice": CHUNKED[:-2] + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two codings on two lines": POST
    + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an empty coding": POST + b"Transfer-Encoding:\r\n\r\n0\r\n\r\n",
    "an empty coding, then chunked": POST
    + b"Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a coding that only looks like chunked": POST + b"Transfer-Encoding: xchunked\r\n\r\n",
    "a control before chunked": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "a quoted coding": POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "a parameter of chunked": POST + b"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
    "a coding in HTTP/1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a folded header": POST + b"A: b\r\n c\r\n\r\n",
    "a folded first header": b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    "a folded empty value": POST + b"A:\r\n b\r\n\r\n",
    "a space before the colon": POST + b"Content-Length : 3\r\n\r\nabc",
    "a bare LF after a header": POST + b"A: b\nC: d\r\n\r\n",
    "a bare CR in a header": POST + b"A: b\rC: d\r\n\r\n",
    "a CR before the line end": POST + b"A: b\r\r\n\r\n",
    "a bare LF after the request line": b"GET / HTTP/1.1\nHost: a\r\n\r\n",
    "a bare LF at the end of the head": b"GET / HTTP/1.1\r\nHost: a\r\n\n",
    "a NUL in a value": POST + b"A: b\x00c\r\n\r\n",
    "a control in a value": POST + b"A: b\x01c\r\n\r\n",
    "a DEL in a value": POST + b"A: b\x7fc\r\n\r\n",
    "a NUL in a name": POST + b"A\x00: c\r\n\r\n",
    "a letter beyond ASCII in a name": POST + b"A\xe9: c\r\n\r\n",
    "a bracket in a name": POST + b"A(: c\r\n\r\n",
    "an empty name": POST + b": c\r\n\r\n",
    "a line without a colon": POST + b"nocolon\r\n\r\n",
    "a missing Host": b"GET / HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "an empty Host": b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "a Host with a path": b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "a Host with a user": b"GET / HTTP/1.1\r\nHost: b@a\r\n\r\n",
    "a Host list": b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
    "an absolute target": b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "an authority target": b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
    "an asterisk target": b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "a fragment": b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
    "a NUL in the target": b"GET /a\x00b HTTP/1.1\r\nHost: a\r\n\r\n",
    "a tab in the target": b"GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n",
    "a byte beyond ASCII in the target": b"GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a space after the version": b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
    "a lower-case method": b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
    "an unknown method": b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n",
    "a space before the method": b" GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "an unknown version": b"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}

BAD_CHUNKS = {
    "no digit": b"\r\nabc\r\n0\r\n\r\n",
    "a sign": b"-3\r\nabc\r\n0\r\n\r\n",
    "a prefix": b"0x3\r\nabc\r\n0\r\n\r\n",
    "a space before the size": b" 3\r\nabc\r\n0\r\n\r\n",
    "a space after the size": b"3 \r\nabc\r\n0\r\n\r\n",
    "a bare LF after the size": b"3\nabc\r\n0\r\n\r\n",
    "a bare CR after the size": b"3\r\rabc\r\n0\r\n\r\n",
    "a bare LF after the data": b"3\r\nabc\n0\r\n\r\n",
    "no line end after the data": b"3\r\nabc0\r\n\r\n",
    "more data than the size": b"3\r\nabcd\r\n0\r\n\r\n",
    "a size beyond all bounds": b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    "a bare LF in an extension": b"3;a\nabc\r\n0\r\n\r\n",
    "a NUL in an extension": b"3;a=\x00\r\nabc\r\n0\r\n\r\n",
    "a length in a trailer": b"0\r\nContent-Length: 5\r\n\r\n",
    "a bare LF after the last chunk": b"0\r\n\n",
}


@pytest.mark.parametrize("raw", SMUGGLING.values(), ids=SMUGGLING)
@pytest.mark.parametrize("step", [1, 7, 4096])
def test_what_two_readers_could_frame_differently_is_refused(raw: bytes, step: int) -> None:
    async def scenario() -> None:
        peer = Peer()
        written = await peer.send(*[raw[i : i + step] for i in range(0, len(raw), step)])
        await peer.send(GET)
        assert status_of(written) in {400, 505}
        assert b"connection: close" in written
        assert peer.seen == []
        assert len(answers(bytes(peer.transport.written))) == 1
        await peer.leave()

    asyncio.run(scenario())


@pytest.mark.parametrize("version", [b"0.9", b"2.0"])
def test_a_version_that_is_not_spoken_is_refused_with_505(version: bytes) -> None:
    async def scenario() -> None:
        peer = Peer()
        assert status_of(await peer.send(b"GET / HTTP/" + version + b"\r\nHost: a\r\n\r\n")) == 505
        await peer.leave()

    asyncio.run(scenario())


@pytest.mark.parametrize("chunks", BAD_CHUNKS.values(), ids=BAD_CHUNKS)
@pytest.mark.parametrize("step", [1, 4096])
def test_a_bad_chunk_fails_the_body_and_ends_the_connection(chunks: bytes, step: int) -> None:
    async def scenario() -> None:
        peer = Peer()
        raw = CHUNKED + chunks
        await peer.send(*[raw[i : i + step] for i in range(0, len(raw), step)])
        written = await peer.send(GET)
        assert peer.seen == []
        assert [status for status, _ in answers(written)] == [400]
        assert b"connection: close" in written
        assert b"request_malformed" in written
        await peer.leave()

    asyncio.run(scenario())


HARMLESS = {
    "white space around a length": POST + b"Content-Length: \t3 \r\n\r\nabc",
    "a length with leading zeros": POST + b"Content-Length: 003\r\n\r\nabc",
    "an upper-case coding": POST + b"Transfer-Encoding: CHUNKED\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "a chunk extension": CHUNKED + b'3;a=b;c="d"\r\nabc\r\n0\r\n\r\n',
    "a trailer": CHUNKED + b"3\r\nabc\r\n0\r\nX: y\r\n\r\n",
    "a chunk size with leading zeros": CHUNKED + b"0003\r\nabc\r\n000\r\n\r\n",
    "an empty line before the request": b"\r\n" + POST + b"Content-Length: 3\r\n\r\nabc",
    "a Host with a port": POST[:-9] + b"Host: [::1]:8484\r\nContent-Length: 3\r\n\r\nabc",
    "an upgrade that is offered": POST
    + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc",
    "an upgrade with chunks": CHUNKED[:-2]
    + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("raw", HARMLESS.values(), ids=HARMLESS)
@pytest.mark.parametrize("step", [1, 11, 4096])
def test_what_all_readers_frame_alike_is_accepted(raw: bytes, step: int) -> None:
    async def scenario() -> None:
        peer = Peer()
        twice = raw + raw
        written = await peer.send(*[twice[i : i + step] for i in range(0, len(twice), step)])
        assert peer.seen == [(b"POST", b"/", b"abc")] * 2
        assert answers(written) == [(200, b"abc")] * 2
        await peer.leave()

    asyncio.run(scenario())


@st.composite
def requests(draw: st.DrawFn) -> tuple[bytes, Seen]:
    method = draw(st.sampled_from([b"GET", b"POST", b"PUT", b"DELETE"]))
    path = b"/" + draw(st.text("abc%2F.~", max_size=8)).encode()
    body = draw(st.binary(max_size=200))
    head = b"%b %b?q=1 HTTP/1.1\r\nHost: a\r\nX: %b\r\n" % (
        method,
        path,
        b"v" * draw(st.integers(0, 9)),
    )
    if draw(st.booleans()):
        cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=4)))
        pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
        framed = b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces if p) + b"0\r\n\r\n"
        raw = head + b"Transfer-Encoding: chunked\r\n\r\n" + framed
    elif body or draw(st.booleans()):
        raw = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    else:
        raw = head + b"\r\n"
    return raw, (method, path, body)


def split(raw: bytes, cuts: Iterable[int]) -> list[bytes]:
    at = sorted({cut % (len(raw) + 1) for cut in cuts})
    return [raw[a:b] for a, b in zip([0, *at], [*at, len(raw)], strict=True)]


CUTS = st.lists(st.integers(0, 10_000), max_size=12)


@settings(max_examples=150, deadline=None)
@given(st.lists(requests(), min_size=1, max_size=4), CUTS)
def test_any_split_of_the_bytes_gives_the_same_requests_in_order(
    script: list[tuple[bytes, Seen]], cuts: list[int]
) -> None:
    async def scenario() -> None:
        peer = Peer()
        raw = b"".join(part for part, _ in script)
        written = await peer.send(*split(raw, cuts))
        await turns(20)
        written = bytes(peer.transport.written)
        assert peer.seen == [seen for _, seen in script]
        found = answers(written, [b"POST"] * len(script))
        assert found == [(200, body) for _, (_, _, body) in script]
        assert peer.errors == []
        await peer.leave()

    asyncio.run(scenario())


MUTATION = st.tuples(
    st.integers(0, 10_000),
    st.sampled_from([b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b"\x00", b"0", b",", b"\xff", b""]),
)


def read_by_h11(raw: bytes) -> list[Seen] | None:
    """What another strict reader sees, or None if it refuses."""
    found: list[Seen] = []
    server = h11.Connection(h11.SERVER)
    server.receive_data(raw)
    try:
        while True:
            event = server.next_event()
            if isinstance(event, h11.Request):
                found.append((event.method, event.target.partition(b"?")[0], b""))
            elif isinstance(event, h11.Data):
                found[-1] = (*found[-1][:2], found[-1][2] + bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                server.send(h11.Response(status_code=200, headers=[]))
                server.send(h11.EndOfMessage())
                if server.our_state is h11.MUST_CLOSE:
                    return found
                server.start_next_cycle()
            else:
                return found
    except h11.RemoteProtocolError:
        return None


@settings(max_examples=400, deadline=None)
@given(st.lists(requests(), min_size=1, max_size=2), st.lists(MUTATION, min_size=1, max_size=2))
def test_what_is_accepted_is_read_as_another_reader_reads_it(
    script: list[tuple[bytes, Seen]], mutations: list[tuple[int, bytes]]
) -> None:
    raw = b"".join(part for part, _ in script)
    for place, insert in mutations:
        at = place % len(raw)
        raw = raw[:at] + insert + raw[at + (0 if insert else 1) :]

    async def scenario() -> None:
        peer = Peer()
        await peer.send(raw)
        await turns(10)
        other = read_by_h11(raw)
        if other is not None:
            assert peer.seen == other[: len(peer.seen)]
        await peer.leave()

    asyncio.run(scenario())


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=8), st.integers(0, 60))
def test_noise_is_refused_once_and_harms_nothing(noise: list[bytes], keep: int) -> None:
    async def scenario() -> None:
        peer = Peer()
        written = await peer.send(POST[:keep], *noise)
        assert written.count(b"HTTP/1.1 4") + written.count(b"HTTP/1.1 5") <= 1
        assert peer.errors == []
        await peer.leave()
        assert not peer.service.works

    asyncio.run(scenario())


# Order and flow


def test_pipelined_requests_are_handled_one_after_another() -> None:
    running: list[int] = []

    async def handle(request: Request, response: Response) -> None:
        running.append(1)
        assert len(running) == 1
        await turns(3)
        running.pop()
        response.send(200, [], request.path)

    async def scenario() -> None:
        peer = Peer(handle)
        raw = b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % i for i in range(50))
        peer.transport.feed(raw)
        assert not peer.is_read_from()
        await turns(400)
        assert peer.is_read_from()
        found = answers(bytes(peer.transport.written))
        assert found == [(200, b"/%d" % i) for i in range(50)]
        await peer.leave()

    asyncio.run(scenario())


def test_what_is_pipelined_beyond_measure_stays_unparsed() -> None:
    async def scenario() -> None:
        peer = Peer()
        peer.transport.feed(GET * 10_000)
        assert len(peer.connection._queue) < 1000  # noqa: SLF001 (the bound is the point)
        await turns(60_000)
        assert len(peer.seen) == 10_000
        await peer.leave()

    asyncio.run(scenario())


def test_a_bad_request_is_refused_after_the_good_ones_before_it_are_answered() -> None:
    async def scenario() -> None:
        peer = Peer()
        written = await peer.send(GET + GET + b"GET / HTTP/1.1\r\n\r\n" + GET)
        await turns(20)
        written = bytes(peer.transport.written)
        assert [status for status, _ in answers(written)] == [200, 200, 400]
        await peer.leave()

    asyncio.run(scenario())


def test_a_body_nobody_reads_is_held_at_the_sender() -> None:
    async def handle(request: Request, response: Response) -> None:
        await gate.wait()
        total = 0
        async for chunk in request.chunks():
            total += len(chunk)
        response.send(200, [], b"%d" % total)

    gate = asyncio.Event()

    async def scenario() -> None:
        peer = Peer(handle)
        await peer.send(POST + b"Content-Length: 300000\r\n\r\n")
        await peer.send(b"x" * 60_000)
        assert peer.is_read_from()
        await peer.send(b"x" * 60_000)
        assert not peer.is_read_from()
        gate.set()
        await turns()
        assert peer.is_read_from()
        for _ in range(3):
            await peer.send(b"x" * 60_000)
        assert answers(bytes(peer.transport.written)) == [(200, b"300000")]
        await peer.leave()

    asyncio.run(scenario())


def test_a_slow_client_is_told_to_the_handler() -> None:
    told: list[str] = []

    async def handle(_request: Request, response: Response) -> None:
        response.on_pause(lambda: told.append("pause"), lambda: told.append("resume"))
        response.start(200, [])
        response.write(b"a")
        await turns()
        await response.drain()
        told.append("drained")
        response.end()

    async def scenario() -> None:
        peer = Peer(handle)
        peer.transport.feed(GET)
        await asyncio.sleep(0)
        peer.connection.pause_writing()
        await turns(10)
        assert told == ["pause"]
        peer.connection.resume_writing()
        await turns()
        assert told == ["pause", "resume", "drained"]
        await peer.leave()

    asyncio.run(scenario())


# Answers of the engine itself


def test_a_handler_that_raises_is_answered_with_500_and_reported() -> None:
    async def handle(_request: Request, _response: Response) -> None:
        raise ValueError("secret detail")

    async def scenario() -> None:
        peer = Peer(handle)
        written = await peer.send(GET)
        assert answers(written)[0][0] == 500
        assert b"secret detail" not in written
        assert [str(error) for error in peer.errors] == ["secret detail"]
        assert not peer.transport.is_closing()
        await peer.leave()

    asyncio.run(scenario())


@pytest.mark.parametrize("is_ended", [False, True])
def test_a_handler_that_breaks_off_an_answer_cuts_the_connection(is_ended: bool) -> None:  # noqa: FBT001 (a case)
    async def handle(_request: Request, response: Response) -> None:
        response.start(200, [])
        response.write(b"half")
        if is_ended:
            raise ValueError

    async def scenario() -> None:
        peer = Peer(handle)
        written = await peer.send(GET)
        assert written.endswith(b"half\r\n")
        assert peer.transport.is_lost
        assert len(peer.errors) == 1

    asyncio.run(scenario())


def test_a_handler_that_says_nothing_is_answered_with_500() -> None:
    async def handle(_request: Request, _response: Response) -> None:
        pass

    async def scenario() -> None:
        peer = Peer(handle)
        assert answers(await peer.send(GET))[0][0] == 500
        assert len(peer.errors) == 1
        await peer.leave()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"x" * 40_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 200 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"x" * 100_000, 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"x" * 100_000, 431),
        (b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET /" + b"x" * 100_000, 414),
        (CHUNKED + b"1;" + b"x" * 200_000, 400),
        (CHUNKED + (b"1;" + b"x" * 200 + b"\r\na\r\n") * 1000, 400),
        (CHUNKED + b"0\r\nA: " + b"x" * 200_000, 400),
        (CHUNKED + b"0\r\n" + b"A: b\r\n" * 50_000, 400),
    ],
    ids=str,
)
@pytest.mark.parametrize("step", [1000, 300_000])
def test_what_would_never_end_is_refused(raw: bytes, status: int, step: int) -> None:
    async def scenario() -> None:
        peer = Peer()
        await peer.send(*[raw[i : i + step] for i in range(0, len(raw), step)])
        await turns(10)
        assert [found for found, _ in answers(bytes(peer.transport.written))] == [status]
        assert peer.seen == []
        await peer.leave()

    asyncio.run(scenario())


def test_headers_just_within_the_limit_pass_in_any_split() -> None:
    async def scenario() -> None:
        filler = b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"x" * (32 * 1024 - 14) + b"\r\n\r\n"
        for step in (1009, 40_000):
            peer = Peer()
            await peer.send(*[filler[i : i + step] for i in range(0, len(filler), step)])
            assert len(peer.seen) == 1
            await peer.leave()

    asyncio.run(scenario())


def test_a_body_over_its_limit_is_refused_before_it_has_come() -> None:
    async def handle(request: Request, _response: Response) -> None:
        await request.read(1000)

    async def scenario() -> None:
        peer = Peer(handle)
        written = await peer.send(POST + b"Content-Length: 100000000\r\n\r\n" + b"x" * 5000)
        assert answers(written)[0][0] == 413
        assert b"connection: close" in written
        assert peer.transport.is_eof_written
        assert not peer.transport.is_closing()
        await peer.send(*[b"x" * 60_000] * 10)  # the client is still sending and is let go on
        assert not peer.transport.is_closing()
        peer.transport.feed_eof()
        await turns()
        assert peer.transport.is_lost
        assert peer.errors == []

    asyncio.run(scenario())


def test_a_short_body_nobody_wanted_is_read_past_to_keep_the_connection() -> None:
    async def handle(request: Request, response: Response) -> None:
        response.send(401, [], request.method)

    async def scenario() -> None:
        peer = Peer(handle)
        await peer.send(POST + b"Content-Length: 2000\r\n\r\n", b"x" * 1000)
        await peer.send(b"x" * 1000 + GET)
        assert answers(bytes(peer.transport.written)) == [(401, b"POST"), (401, b"GET")]
        assert not peer.transport.is_closing()
        await peer.leave()

    asyncio.run(scenario())


def test_continue_is_said_only_when_the_body_is_wanted() -> None:
    async def scenario() -> None:
        peer = Peer()
        head = POST + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        assert await peer.send(head) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert answers(await peer.send(b"abc"), [b"POST"]) == [(200, b"abc")]
        peer.transport.written.clear()
        written = await peer.send(head + b"abc")
        assert b"100 Continue" not in written
        await peer.leave()

    asyncio.run(scenario())


def test_a_refusal_instead_of_continue_closes_the_connection() -> None:
    async def handle(_request: Request, response: Response) -> None:
        response.send(401, [], b"no")

    async def scenario() -> None:
        peer = Peer(handle)
        written = await peer.send(POST + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert answers(written) == [(401, b"no")]
        assert b"connection: close" in written
        await peer.leave()

    asyncio.run(scenario())


def test_another_expectation_is_refused() -> None:
    async def scenario() -> None:
        peer = Peer()
        assert status_of(await peer.send(POST + b"Expect: tea\r\n\r\n")) == 417
        await peer.leave()

    asyncio.run(scenario())


# Keeping and closing


@pytest.mark.parametrize(
    ("raw", "keeps"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, close\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", True),
    ],
)
def test_a_connection_is_kept_as_the_client_asks(raw: bytes, *, keeps: bool) -> None:
    async def scenario() -> None:
        peer = Peer()
        written = await peer.send(raw)
        await peer.send(GET)
        assert len(peer.seen) == (2 if keeps else 1)
        assert peer.transport.is_closing() is not keeps
        assert (b"connection: close" in written) is not keeps
        await peer.leave()

    asyncio.run(scenario())


def test_bytes_after_the_last_request_are_not_read() -> None:
    async def scenario() -> None:
        peer = Peer()
        last = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        written = await peer.send(last + b"nonsense")
        assert [status for status, _ in answers(written)] == [200]
        assert peer.transport.is_lost

    asyncio.run(scenario())


def test_a_chunked_answer_to_http_1_0_ends_with_the_connection() -> None:
    async def handle(_request: Request, response: Response) -> None:
        response.start(200, [])
        response.write(b"abc")
        response.end()

    async def scenario() -> None:
        peer = Peer(handle)
        written = await peer.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert b"transfer-encoding" not in written
        assert written.endswith(b"\r\n\r\nabc")
        assert peer.transport.is_lost

    asyncio.run(scenario())


def test_draining_lets_the_answer_in_progress_end_and_says_close() -> None:
    async def handle(_request: Request, response: Response) -> None:
        await gate.wait()
        response.send(200, [], b"late")

    gate = asyncio.Event()

    async def scenario() -> None:
        peer, idle = Peer(handle), Peer(handle)
        await peer.send(GET)
        for each in (peer, idle):
            each.service.is_draining = True
            each.connection.drain()
        await turns()
        assert idle.transport.is_lost
        assert not peer.transport.is_lost
        gate.set()
        await turns()
        assert b"connection: close" in peer.transport.written
        assert answers(bytes(peer.transport.written)) == [(200, b"late")]
        assert peer.transport.is_lost

    asyncio.run(scenario())


# Clients that leave or stall


@settings(max_examples=100, deadline=None)
@given(st.lists(requests(), min_size=1, max_size=3), st.integers(0, 10_000), st.booleans())
def test_a_client_may_leave_at_any_byte(
    script: list[tuple[bytes, Seen]],
    at: int,
    is_reset: bool,  # noqa: FBT001 (a case)
) -> None:
    raw = b"".join(part for part, _ in script)
    told: list[int] = []

    async def handle(request: Request, response: Response) -> None:
        response.on_disconnect(lambda: told.append(1))
        try:
            body = await request.read(1 << 20)
        except ConnectionError:
            assert response.is_disconnected
            raise
        await turns(2)
        response.send(200, [], body)

    async def scenario() -> None:
        peer = Peer(handle)
        peer.transport.feed(raw[: at % (len(raw) + 1)])
        await turns(1)
        if is_reset:
            peer.transport.lose(ConnectionResetError())
        else:
            peer.transport.feed_eof()
        await turns(20)
        assert peer.transport.is_lost
        assert peer.errors == []
        assert len(told) <= 1
        assert not peer.service.connections
        assert not peer.service.works

    asyncio.run(scenario())


def test_leaving_is_noticed_while_the_handler_waits() -> None:
    told: list[bool] = []

    async def handle(_request: Request, response: Response) -> None:
        response.on_disconnect(lambda: told.append(response.is_disconnected))
        await gate.wait()
        response.send(200, [], b"for nobody")
        with pytest.raises(ConnectionError):
            await response.drain()

    gate = asyncio.Event()

    async def scenario() -> None:
        peer = Peer(handle)
        await peer.send(GET)
        peer.transport.feed_eof()
        await turns()
        assert told == [True]
        gate.set()
        await turns()
        assert peer.transport.written == b""
        assert peer.errors == []

    asyncio.run(scenario())


def test_a_head_that_does_not_end_is_timed_out() -> None:
    async def scenario() -> None:
        peer = Peer()
        await peer.send(GET[:10])
        peer.connection.expire()
        assert status_of(bytes(peer.transport.written)) == 408
        peer.connection.expire()
        await turns()
        assert peer.transport.is_lost

    asyncio.run(scenario())


def test_trickling_bytes_do_not_move_the_deadline_of_a_head() -> None:
    async def scenario() -> None:
        peer = Peer()
        await peer.send(b"GET /")
        deadline = peer.connection.deadline
        await asyncio.sleep(0.01)
        await peer.send(b"a", b"b", b"c")
        assert peer.connection.deadline == deadline
        await peer.leave()

    asyncio.run(scenario())


def test_an_idle_connection_is_closed_without_a_word() -> None:
    async def scenario() -> None:
        peer = Peer()
        written = await peer.send(GET)
        peer.connection.expire()
        await turns()
        assert bytes(peer.transport.written) == written
        assert peer.transport.is_lost

    asyncio.run(scenario())


def test_a_body_that_stops_coming_is_timed_out_and_its_handler_told() -> None:
    met: list[Exception] = []

    async def handle(request: Request, response: Response) -> None:
        try:
            await request.read(100)
        except ConnectionError as error:
            met.append(error)
            assert response.is_disconnected

    async def scenario() -> None:
        peer = Peer(handle)
        await peer.send(POST + b"Content-Length: 10\r\n\r\nabc")
        peer.connection.expire()
        await turns()
        assert status_of(bytes(peer.transport.written)) == 408
        assert len(met) == 1
        assert peer.errors == []
        await peer.leave()

    asyncio.run(scenario())


def test_no_time_runs_while_a_handler_works() -> None:
    async def handle(request: Request, response: Response) -> None:
        await request.read(10)
        deadlines.append(peer_of[0].connection.deadline)
        response.send(200, [], b"")

    deadlines: list[float] = []
    peer_of: list[Peer] = []

    async def scenario() -> None:
        peer = Peer(handle)
        peer_of.append(peer)
        await peer.send(POST + b"Content-Length: 1\r\n\r\n", b"a")
        assert deadlines == [float("inf")]
        assert peer.connection.deadline < float("inf")
        await peer.leave()

    asyncio.run(scenario())


def test_a_client_that_takes_nothing_is_cut() -> None:
    async def handle(_request: Request, response: Response) -> None:
        response.start(200, [])
        response.write(b"x")
        await response.drain()

    async def scenario() -> None:
        peer = Peer(handle)
        peer.transport.feed(GET)
        peer.connection.pause_writing()
        await turns()
        peer.connection.expire()
        await turns()
        assert peer.transport.is_lost
        assert peer.errors == []

    asyncio.run(scenario())


# Requests


def test_a_header_that_occurs_twice_is_no_single_value() -> None:
    async def handle(request: Request, response: Response) -> None:
        assert request.header(b"a") == b"1"
        assert request.header(b"none") is None
        with pytest.raises(PeerError) as caught:
            request.header(b"b")
        response.send(200, [], caught.value.code.encode())

    async def scenario() -> None:
        peer = Peer(handle)
        written = await peer.send(b"GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 1\r\nb: 1\r\n\r\n")
        assert answers(written) == [(200, b"request_malformed")]
        await peer.leave()

    asyncio.run(scenario())


def test_the_parts_of_a_request_arrive_untouched() -> None:
    async def handle(request: Request, response: Response) -> None:
        assert (request.method, request.path, request.query) == (b"PATCH", b"/a%2Fb", b"c=%20?d")
        assert list(request.headers) == [(b"host", b"a:1"), (b"x-y", b"\xff z"), (b"e", b"")]
        assert request.peer == "127.0.0.1"
        response.send(204, [], b"")

    async def scenario() -> None:
        peer = Peer(handle)
        raw = b"PATCH /a%2Fb?c=%20?d HTTP/1.1\r\nHost: a:1\r\nX-Y:  \xff z \t\r\nE:\r\n\r\n"
        written = await peer.send(raw)
        assert status_of(written) == 204
        assert b"content-length" not in written
        await peer.leave()

    asyncio.run(scenario())


def test_an_answer_to_head_has_no_body() -> None:
    async def scenario() -> None:
        peer = Peer()
        written = await peer.send(POST.replace(b"POST", b"HEAD") + b"Content-Length: 3\r\n\r\nabc")
        assert b"content-length: 3" in written
        assert answers(written, [b"HEAD"]) == [(200, b"")]
        await peer.leave()

    asyncio.run(scenario())


def test_a_large_request_that_came_whole_leaves_the_connection_read_from() -> None:
    async def scenario() -> None:
        peer = Peer()
        head = POST + b"Content-Length: 200000\r\n\r\n"
        for _ in range(2):
            peer.transport.feed(head + b"x" * 200_000)
            assert peer.is_read_from()
            await turns()
        assert [len(body) for _, _, body in peer.seen] == [200_000] * 2
        await peer.leave()

    asyncio.run(scenario())


# Handlers that return before the answer is whole


class Later:
    """Work that ends when a test says so."""

    def __init__(self, response: Response) -> None:
        self.response = response
        self.is_over = False
        self._tell: Callable[[Work], None] | None = None

    def cancel(self) -> None:
        self.end()

    def when_over(self, tell: Callable[[Work], None]) -> None:
        self._tell = tell

    def answer(self) -> None:
        self.response.send(200, [], b"later")
        self.end()

    def end(self) -> None:
        self.is_over = True
        if self._tell is not None:
            self._tell(self)


def test_a_thousand_requests_are_answered_by_a_handler_that_never_waits() -> None:
    async def scenario() -> None:
        peer = Peer(handle=lambda _request, response: response.send(200, [], b"at once"))
        written = await peer.send(GET * 3_000)
        assert written.count(b"at once") < 300  # meanwhile other connections have their turn
        for _ in range(300):
            await asyncio.sleep(0)
        assert bytes(peer.transport.written).count(b"at once") == 3_000
        assert peer.errors == []
        await peer.leave()

    asyncio.run(scenario())


def test_work_that_goes_on_is_known_until_it_is_over() -> None:
    works: list[Later] = []

    def handle(_request: Request, response: Response) -> Later:
        works.append(Later(response))
        return works[-1]

    async def scenario() -> None:
        peer = Peer(handle=handle)
        assert await peer.send(GET + GET) == b""
        assert len(works) == len(peer.service.works) == 1
        works[0].answer()
        assert len(works) == 2
        works[1].answer()
        assert not peer.service.works
        assert [body for _, body in answers(bytes(peer.transport.written))] == [b"later", b"later"]
        await peer.leave()

    asyncio.run(scenario())


def test_a_handler_that_raises_or_says_nothing_at_once_is_answered_for() -> None:
    def handle(request: Request, _response: Response) -> None:
        if request.path == b"/raise":
            raise ZeroDivisionError

    async def scenario() -> None:
        for target in (b"/raise", b"/silent"):
            peer = Peer(handle=handle)
            written = await peer.send(GET.replace(b"/ ", target + b" "))
            assert status_of(written) == 500
            assert len(peer.errors) == 1
            await peer.leave()

    asyncio.run(scenario())


def test_a_client_that_takes_no_answers_gets_no_more_of_them() -> None:
    async def scenario() -> None:
        peer = Peer(handle=lambda _request, response: response.send(200, [], b"at once"))
        peer.connection.pause_writing()
        await peer.send(GET * 50)
        assert bytes(peer.transport.written).count(b"at once") == 0
        peer.connection.resume_writing()
        for _ in range(10):
            await asyncio.sleep(0)
        assert bytes(peer.transport.written).count(b"at once") == 50
        await peer.leave()

    asyncio.run(scenario())


def test_a_client_that_repeats_itself_and_takes_no_answers_gets_no_more_either() -> None:
    async def scenario() -> None:
        peer = Peer(handle=lambda _request, response: response.send(200, [], b"at once"))
        for _ in range(2):  # from the second on its head is known
            await peer.send(GET)
        peer.connection.pause_writing()
        for _ in range(5):
            await peer.send(GET)
        assert bytes(peer.transport.written).count(b"at once") == 2
        peer.connection.resume_writing()
        await turns(10)
        assert bytes(peer.transport.written).count(b"at once") == 7
        await peer.leave()

    asyncio.run(scenario())

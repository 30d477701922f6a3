import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.domain.error import PeerError, RingfenceError, UnavailableError, UnsentError
from ringfence.testing.wire import ManualTransport
from ringfence.transport.answer import Answer
from ringfence.transport.deadline import Sweeper
from ringfence.transport.limits import ClientLimits
from ringfence.transport.upstream import UpstreamConnection

OK = b"HTTP/1.1 200 OK\r\n"
LIMIT = 1 << 20


@dataclass
class Sink:
    """Keeps what is pushed, and pauses after each chunk if asked to."""

    answer: Answer | None = None
    chunks: list[bytes] = field(default_factory=list)
    ends: list[object] = field(default_factory=list)
    pauses: bool = False

    def data(self, chunk: bytes) -> None:
        assert self.ends == []
        self.chunks.append(chunk)
        if self.pauses and self.answer is not None:
            self.answer.pause()
            asyncio.get_running_loop().call_soon(self.answer.resume)

    def end(self) -> None:
        self.ends.append("end")

    def failed(self, error: Exception) -> None:
        self.ends.append(error)


class Exchange:
    """One request to an upstream that a test plays by hand."""

    def __init__(self, method: bytes = b"POST") -> None:
        self.freed: list[UpstreamConnection] = []
        self.lines_lost: list[UpstreamConnection] = []
        sweeper = Sweeper(asyncio.get_running_loop())
        self.line = UpstreamConnection(ClientLimits(), sweeper, self)
        self.transport = ManualTransport(self.line)
        self.head: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.line.exchange(method, b"HEAD", b"BODY", self, 60)

    def answered(self, upstream: object) -> None:
        assert isinstance(upstream, Answer)
        self.head.set_result(upstream)

    def unanswered(self, error: Exception) -> None:
        self.head.set_exception(error)

    def free(self, line: UpstreamConnection) -> None:
        self.freed.append(line)

    def lost(self, line: UpstreamConnection) -> None:
        self.lines_lost.append(line)

    @property
    def is_reusable(self) -> bool:
        return bool(self.freed) and not self.transport.is_closing()

    async def answer(self, *parts: bytes, close: bool = False) -> Answer:
        for part in parts:
            self.transport.feed(part)
        if close:
            self.transport.feed_eof()
        return await self.head

    async def error(self, *parts: bytes, close: bool = False) -> RingfenceError:
        with pytest.raises(RingfenceError) as caught:
            await (await self.answer(*parts, close=close)).read(LIMIT)
        return caught.value

    async def leave(self) -> None:
        self.transport.lose()
        await asyncio.sleep(0)


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, int, bytes, bool]:
    """Bytes of an answer, its status, its body, and whether it ends by close."""
    status = draw(st.sampled_from([200, 201, 404, 500, 599]))
    body = draw(st.binary(max_size=300))
    interim = b"HTTP/1.1 100 Continue\r\n\r\n" * draw(st.integers(0, 2))
    head = interim + b"HTTP/1.1 %d Some phrase\r\nX: y\r\n" % status
    form = draw(st.sampled_from(["length", "chunks", "close"]))
    if form == "length":
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body, status, body, False
    if form == "close":
        return head + b"\r\n" + body, status, body, True
    cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=4)))
    pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    framed = b"".join(b"%x;e\r\n%b\r\n" % (len(p), p) for p in pieces if p) + b"0\r\nT: t\r\n\r\n"
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + framed, status, body, False


def split(raw: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({cut % (len(raw) + 1) for cut in cuts})
    return [raw[a:b] for a, b in zip([0, *at], [*at, len(raw)], strict=True)]


CUTS = st.lists(st.integers(0, 1000), max_size=12)


@settings(max_examples=200, deadline=None)
@given(answers(), CUTS)
def test_any_split_of_the_bytes_gives_the_same_answer(
    script: tuple[bytes, int, bytes, bool], cuts: list[int]
) -> None:
    raw, status, body, closes = script

    async def scenario() -> None:
        exchange = Exchange()
        answer = await exchange.answer(*split(raw, cuts), close=closes)
        assert answer.status == status
        assert (b"x", b"y") in answer.headers
        await asyncio.sleep(0)
        assert await answer.read(LIMIT) == body
        assert exchange.is_reusable is not closes
        await exchange.leave()

    asyncio.run(scenario())


@settings(max_examples=100, deadline=None)
@given(answers(), st.integers(0, 1000))
def test_an_answer_that_breaks_off_is_never_taken_for_whole(
    script: tuple[bytes, int, bytes, bool], at: int
) -> None:
    raw, _, _, closes = script
    cut = raw[: at % len(raw)]

    async def scenario() -> None:
        exchange = Exchange()
        exchange.transport.feed(cut)
        if closes:
            exchange.transport.lose(ConnectionResetError())
        else:
            exchange.transport.feed_eof()
        error = await exchange.error()
        expected = "provider_malformed" if cut else "provider_unavailable"
        assert (error.code, type(error) is not UnsentError) == (expected, True)

    asyncio.run(scenario())


MALFORMED = {
    "both lengths": OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": OK + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "a list of lengths": OK + b"Content-Length: 3, 3\r\n\r\nabc",
    "a signed length": OK + b"Content-Length: +3\r\n\r\nabc",
    "another coding": OK + b"Transfer-Encoding: gzip\r\n\r\nabc",
    "a coding before chunked": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a coding in HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a folded header": OK + b"A: b\r\n c\r\n\r\n",
    "a space before the colon": OK + b"Content-Length : 3\r\n\r\nabc",
    "a bare LF": OK + b"A: b\nContent-Length: 3\r\n\r\nabc",
    "a NUL": OK + b"A: \x00\r\nContent-Length: 3\r\n\r\nabc",
    "a status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "a status beyond the classes": b"HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n",
    "another version": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.9\r\n",
    "switching protocols": b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "switching without a word": b"HTTP/1.1 101 S\r\n\r\n",
    "endless interim answers": b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" * 20,
    "endless headers": OK + b"A: " + b"x" * 200_000,
    "too many headers": OK + b"A: b\r\n" * 500 + b"\r\n",
    "a bad chunk": OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "an endless extension": OK + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 300_000,
}


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED)
@pytest.mark.parametrize("step", [50, 400_000])
def test_a_malformed_answer_is_the_providers_fault(raw: bytes, step: int) -> None:
    async def scenario() -> None:
        exchange = Exchange()
        parts = [raw[i : i + step] for i in range(0, len(raw), step)]
        error = await exchange.error(*parts, b"x")
        assert isinstance(error, PeerError)
        assert error.code == "provider_malformed"
        assert not exchange.is_reusable
        assert exchange.lines_lost == [exchange.line]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "raw",
    [
        OK + b"Content-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen",
        OK + b"Content-Length: 3\r\n\r\nabcjunk",
        OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        OK + b"Connection: close\r\nContent-Length: 3\r\n\r\nabcmore",
    ],
)
def test_bytes_after_an_answer_spoil_the_connection_and_not_the_answer(raw: bytes) -> None:
    async def scenario() -> None:
        exchange = Exchange()
        answer = await exchange.answer(raw)
        assert await answer.read(LIMIT) == b"abc"
        assert exchange.freed == []
        assert exchange.transport.is_closing()
        await exchange.leave()

    asyncio.run(scenario())


def test_unasked_bytes_on_an_idle_connection_close_it() -> None:
    async def scenario() -> None:
        exchange = Exchange()
        await exchange.answer(OK + b"Content-Length: 0\r\n\r\n")
        assert exchange.line.is_usable(ask_kernel=False)
        exchange.transport.feed(OK + b"Content-Length: 0\r\n\r\n")
        assert not exchange.line.is_usable(ask_kernel=False)
        await exchange.leave()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("method", "raw", "is_reusable"),
    [
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", True),
        (b"HEAD", OK + b"Content-Length: 9\r\n\r\n", False),
        (b"HEAD", OK + b"Transfer-Encoding: chunked\r\n\r\n", False),
        (b"GET", OK + b"Content-Length: 0\r\n\r\n", True),
        (b"GET", OK + b"Content-Length: 0\r\nConnection: close\r\n\r\n", False),
        (b"GET", b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
    ],
)
def test_an_answer_without_a_body_ends_with_its_head(
    method: bytes,
    raw: bytes,
    is_reusable: bool,  # noqa: FBT001 (a case)
) -> None:
    async def scenario() -> None:
        exchange = Exchange(method)
        answer = await exchange.answer(raw)
        assert await answer.read(0) == b""
        assert exchange.is_reusable is is_reusable
        await exchange.leave()

    asyncio.run(scenario())


def test_silence_is_timed_out_before_and_inside_an_answer() -> None:
    async def scenario() -> None:
        for sent in (b"", OK + b"Content-Length: 9\r\n\r\nabc"):
            exchange = Exchange()
            exchange.transport.feed(sent)
            exchange.line.expire()
            error = await exchange.error()
            assert isinstance(error, UnavailableError)
            assert (error.code, type(error)) == ("provider_timeout", UnavailableError)

    asyncio.run(scenario())


def test_an_answer_nobody_waits_for_any_more_is_given_up() -> None:
    async def scenario() -> None:
        exchange = Exchange()
        exchange.line.abandon(exchange)
        assert exchange.transport.is_closing()
        await exchange.leave()
        assert not exchange.head.done()


def test_a_connection_that_serves_another_is_not_given_up() -> None:
    async def scenario() -> None:
        exchange = Exchange()
        await exchange.answer(OK + b"Content-Length: 0\r\n\r\n")
        exchange.line.abandon(exchange)
        assert exchange.is_reusable
        await exchange.leave()

    asyncio.run(scenario())

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.transport.test_connection import GET, SMUGGLING, Peer, Seen, status_of

from ringfence.transport import request_reader
from ringfence.transport.http import LINES
from ringfence.transport.repeat import RepeatedHead, learn
from ringfence.transport.request import IncomingRequest

HEADS = (
    b"POST /v1 HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nX: 1\r\n\r\n",
    b"POST /v1 HTTP/1.1\r\nHost: a\r\ncontent-length:\t %d\r\n\r\n",
    b"POST /v1?q HTTP/1.1\r\nContent-Length:%d\r\nHost: a\r\nX: content-length: 7\r\n\r\n",
    b"PUT /other HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n",
)


BARE = (
    b"GET /items?page=1 HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n",
    b"DELETE /items/1 HTTP/1.1\r\nHost: a\r\n\r\n",
)
TARGET_BYTES = 1_000


def taken(repeat: RepeatedHead, data: bytes) -> bytes | None:
    """The body of what is taken for a repetition; None if it must be parsed."""
    found = repeat.at(data, TARGET_BYTES)
    return None if found is None else found.body_of(data)


def written(head: bytes, body: bytes) -> bytes:
    return head % len(body) + body


def known(data: bytes) -> RepeatedHead | None:
    """What is remembered of a message that a connection has read."""

    async def story() -> RepeatedHead | None:
        found: list[IncomingRequest] = []

        async def keep(request: object, response: object) -> None:
            assert isinstance(request, IncomingRequest)
            found.append(request)
            response.send(200, [], b"")  # type: ignore[attr-defined] # a response

        peer = Peer(handle=keep)
        await peer.send(data)
        await peer.leave()
        return learn(data, found[0]) if found and found[0].may_repeat else None

    return asyncio.run(story())


@pytest.mark.parametrize("head", HEADS)
def test_the_same_head_with_another_length_is_known(head: bytes) -> None:
    repeat = known(written(head, b"first"))
    assert repeat is not None
    for body in (b"", b"x", b"second", b"\r\n\r\n", b"y" * 100_000):
        assert repeat.at(written(head, body), TARGET_BYTES) is repeat
        assert repeat.body_of(written(head, body)) == body


@pytest.mark.parametrize("head", HEADS)
def test_anything_else_is_parsed(head: bytes) -> None:
    repeat = known(written(head, b"first"))
    assert repeat is not None
    again = written(head, b"again")
    for unlike in (
        again[:-1],
        again + b"x",
        again.replace(b"Host: a", b"Host: b"),
        again.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\r\nHost: b\r\n"),
        *[
            again.replace(b"5", digits)
            for digits in (b"+5", b"-5", b"0x5", b"5,5", b"5_", b"", b" ")
        ],
        again.replace(b"5", b"0000000005"),
        again.replace(b"5", "\u0665".encode()),
        GET,
        b"",
    ):
        assert taken(repeat, unlike) is None


@pytest.mark.parametrize("head", BARE)
def test_a_head_without_a_body_is_known_and_nothing_may_follow_it(head: bytes) -> None:
    repeat = known(head)
    assert repeat is not None
    assert taken(repeat, head) == b""
    for unlike in (
        head[:-1],
        head + b"x",
        head + head,
        head.replace(b"\r\n\r\n", b"\r\nContent-Length: 0\r\n\r\n"),
        head.replace(b"\r\n\r\n", b"\r\nX: y\r\n\r\n"),
        head.replace(b"HTTP/1.1", b"HTTP/1.0"),
        head.replace(b" HTTP", b"  HTTP"),
        b"\r\n" + head,
        head.lower(),
    ):
        assert taken(repeat, unlike) is None


def test_only_the_target_may_differ_besides() -> None:
    repeat = known(BARE[0])
    assert repeat is not None
    other = repeat.at(BARE[0].replace(b"/items?page=1", b"/other%20one?a=b?c"), TARGET_BYTES)
    assert other is not None
    assert (other.method, other.path, other.query) == (b"GET", b"/other%20one", b"a=b?c")
    assert other.headers is repeat.headers
    assert other.memo is not repeat.memo
    assert other.memo[LINES] is repeat.memo[LINES]
    long = BARE[0].replace(b"/items", b"/" + b"x" * TARGET_BYTES)
    assert repeat.at(long, TARGET_BYTES) is None
    assert known(BARE[0].replace(b"GET", b"DELETE")) is not None
    assert repeat.at(BARE[0].replace(b"GET", b"PUT"), TARGET_BYTES) is None


@pytest.mark.parametrize("byte", range(256))
def test_a_target_that_the_parser_would_refuse_is_not_taken(byte: int) -> None:
    """Every byte within a target: what is taken in without the parser it would have taken, too."""
    message = BARE[0].replace(b"/items", b"/it%bems" % bytes((byte,)))

    async def story() -> None:
        alone, after = Peer(), Peer()
        await after.send(BARE[0])
        await after.send(BARE[0])
        status = status_of(await alone.send(message))
        after.transport.written.clear()
        assert status_of(await after.send(message)) == status
        if status == 200:
            assert after.seen[-1] == alone.seen[-1]
        for each in (alone, after):
            await each.leave()

    asyncio.run(story())


def test_a_request_without_a_length_never_says_one() -> None:
    said: list[bytes | None] = []

    async def keep(request: object, response: object) -> None:
        assert isinstance(request, IncomingRequest)
        said.append(request.header(b"content-length"))
        response.send(200, [], b"")  # type: ignore[attr-defined] # a response

    async def story() -> None:
        peer = Peer(handle=keep)
        for _ in range(3):
            await peer.send(BARE[0])
        await peer.leave()

    asyncio.run(story())
    assert said == [None, None, None]


@pytest.mark.parametrize("raw", SMUGGLING.values(), ids=SMUGGLING)
def test_nothing_doubtful_follows_a_known_head(raw: bytes) -> None:
    """What is refused as a first message is refused after one whose head is remembered."""

    async def story() -> None:
        peer = Peer()
        plain = written(HEADS[0], b"first")
        first = await peer.send(plain, plain)
        peer.transport.written.clear()
        alone, after = Peer(), peer
        refused = status_of(await alone.send(raw))
        assert status_of(await after.send(raw)) == refused
        assert first.count(b"200 OK") == 2
        for each in (alone, after):
            await each.leave()

    asyncio.run(story())


WITH_BODY = st.builds(written, st.sampled_from(HEADS), st.binary(max_size=40))
TARGETS = st.sampled_from((b"/items?page=1", b"/", b"/other?", b"/a%20b?c#"[:-1]))
WITHOUT = st.builds(lambda to: BARE[0].replace(b"/items?page=1", to), TARGETS)
MESSAGES = st.lists(WITH_BODY | WITHOUT | st.just(BARE[1]), min_size=1, max_size=30)


@settings(max_examples=100, deadline=None)
@given(MESSAGES, st.lists(st.integers(0, 2_000), max_size=6))
def test_what_is_remembered_changes_nothing(messages: list[bytes], cuts: list[int]) -> None:
    raw = b"".join(messages)
    bounds = sorted({0, len(raw), *(cut % len(raw) for cut in cuts)})
    pieces = [raw[a:b] for a, b in pairwise(bounds)]

    async def seen(parts: list[bytes], unlike_most: int) -> list[Seen]:
        request_reader._UNLIKE_MOST = unlike_most  # noqa: SLF001 (with and without the short cut)
        peer = Peer()
        await peer.send(*parts)
        for _ in range(20 + 2 * len(messages)):  # some turns for each
            await asyncio.sleep(0)
        assert peer.errors == []
        await peer.leave()
        return peer.seen

    usual = request_reader._UNLIKE_MOST  # noqa: SLF001 (put back)
    try:
        parsed = asyncio.run(seen(pieces, 0))
        assert len(parsed) == len(messages)
        assert asyncio.run(seen(pieces, usual)) == asyncio.run(seen(messages, usual)) == parsed
    finally:
        request_reader._UNLIKE_MOST = usual  # noqa: SLF001 (put back)


def test_a_handlers_memo_lives_as_long_as_the_head_is_repeated() -> None:
    memos: list[object] = []

    async def keep(request: object, response: object) -> None:
        assert isinstance(request, IncomingRequest)
        memos.append(request.memo)
        assert request.header(b"content-length") == b"%d" % (request.length or 0)
        response.send(200, [], b"")  # type: ignore[attr-defined] # a response

    async def story() -> None:
        peer = Peer(handle=keep)
        for head, body in ((0, b"a"), (0, b"bb"), (0, b"ccc"), (3, b"a"), (3, b"bb"), (0, b"a")):
            await peer.send(written(HEADS[head], body))
        await peer.leave()

    asyncio.run(story())
    first, second, third, fourth, fifth, sixth = memos
    assert first is fourth is sixth is None
    assert second is third is not None
    assert fifth is not None
    assert fifth is not second

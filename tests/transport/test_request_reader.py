"""Requests as they are read, whoever answers them: in order, checked, and the end of a stream."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.error import PeerError
from ringfence.transport.framing import Malformed
from ringfence.transport.limits import ServerLimits
from ringfence.transport.request import IncomingRequest
from ringfence.transport.request_reader import RequestReader

GET = b"GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"PUT /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"


class Reader(RequestReader):
    """Takes everything at once, and is never told to wait."""

    def __init__(self, limits: ServerLimits | None = None) -> None:
        super().__init__(limits or ServerLimits())

    def read(self, data: bytes) -> "Reader":
        left: bytes | memoryview = data
        try:
            while left:
                left = self._feed_some(left)
        except Malformed as fault:
            self._fail(fault)
        return self

    @property
    def requests(self) -> list[IncomingRequest]:
        return list(self._queue)

    @property
    def fault(self) -> int:
        return 0 if self._refusal is None else self._refusal.status

    @property
    def is_last(self) -> bool:
        return self._is_last

    def hold_body(self) -> None:
        """Nothing is held."""

    def release_body(self) -> None:
        """Nothing was held."""

    def want_body(self) -> None:
        """It comes without being asked for."""


def told(reader: Reader) -> list[tuple[bytes, bytes, bytes | None]]:
    return [(each.method, each.raw_path, each.whole(1_000)) for each in reader.requests]


@given(st.lists(st.integers(0, 400), max_size=6))
def test_requests_are_read_in_order_however_they_are_cut(cuts: list[int]) -> None:
    raw = GET + POST + CHUNKED + GET
    bounds = sorted({0, len(raw), *(cut % len(raw) for cut in cuts)})
    reader = Reader()
    for start, end in pairwise(bounds):
        reader.read(raw[start:end])
    first = (b"GET", b"/a", b"")
    assert told(reader) == [first, (b"POST", b"/p", b"hello"), (b"PUT", b"/c", b"ab"), first]
    assert reader.fault == 0
    assert not reader.is_last


def test_a_request_that_is_repeated_is_read_as_the_first_was() -> None:
    reader = Reader().read(GET).read(GET).read(GET.replace(b"/a?b=c", b"/other"))
    first, second, third = reader.requests
    assert (first.path, first.query) == (second.path, second.query) == (b"/a", b"b=c")
    assert (third.path, third.query) == (b"/other", b"")
    assert second.headers is first.headers is third.headers


def test_what_comes_before_a_fault_stays() -> None:
    reader = Reader().read(GET).read(b"GET  HTTP/9.9\r\n\r\n")
    assert len(reader.requests) == 1
    assert reader.fault == 400


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /" + b"y" * 9_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: x\r\nExpect: gold\r\n\r\n", 417),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"y" * 40_000 + b"\r\n\r\n", 431),
    ],
)
def test_what_cannot_be_served_ends_the_stream(head: bytes, status: int) -> None:
    reader = Reader().read(head)
    assert reader.requests == []
    assert reader.fault == status


def test_a_body_that_breaks_off_is_told_to_its_reader() -> None:
    reader = Reader().read(CHUNKED[:-7]).read(b"zz\r\n")
    (request,) = reader.requests
    with pytest.raises(PeerError):
        asyncio.run(request.read(100))
    assert reader.is_last


def test_nothing_is_read_after_a_last_request() -> None:
    last = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert Reader().read(last).is_last

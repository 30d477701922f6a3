import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.error import PeerError
from ringfence.protocols import sse
from ringfence.protocols.sse import Event, Splitter

_LINE = st.sampled_from(
    [b"data: {}", b"data:1", b"event: ping", b": note", b"data", b"id: 1", b"", b"x\xff"]
)
_END = st.sampled_from([b"\n", b"\r\n", b"\r"])


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    lines = draw(st.lists(st.tuples(_LINE, _END), max_size=20))
    return b"".join(line + end for line, end in lines)


@st.composite
def split_streams(draw: st.DrawFn) -> list[bytes]:
    whole = draw(streams())
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    return [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


def _dispatched(blocks: list[bytes]) -> list[Event]:
    events = [sse.read(block) for block in blocks]
    return [event for event in events if event.data is not None]


def _by_the_standard(whole: bytes) -> list[Event]:
    """The standard's algorithm, line by line."""
    events: list[Event] = []
    name, data = b"", list[bytes]()
    *lines, _ = re.split(rb"\r\n|\n|\r", whole)
    for line in lines:
        if not line:
            if data:
                events.append(Event(name, b"\n".join(data)))
            name, data = b"", []
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return events


@given(split_streams())
def test_events_joined_give_what_was_fed(pieces: list[bytes]) -> None:
    splitter = Splitter()
    events = [event for piece in pieces for event in splitter.feed(piece)]
    assert b"".join(events) + splitter.rest() == b"".join(pieces)


@given(split_streams())
def test_any_split_reads_what_the_standard_reads(pieces: list[bytes]) -> None:
    splitter = Splitter()
    whole = b"".join(pieces)
    blocks = [event for piece in pieces for event in splitter.feed(piece)]
    if whole.endswith(b"\r"):
        blocks.append(splitter.rest())  # the last carriage return waits for its other half
    expected = _by_the_standard(whole)
    assert _dispatched(blocks)[: len(expected)] == expected
    assert len(_dispatched(blocks)) <= len(expected) + whole.endswith(b"\r")


def test_whole_events_come_out_at_once() -> None:
    splitter = Splitter()
    assert splitter.feed(b"data: 1\n\n") == [b"data: 1\n\n"]
    assert splitter.feed(b"data: 2\n\ndata: 3\n\n") == [b"data: 2\n\n", b"data: 3\n\n"]
    assert splitter.feed(b"data: 4\n") == []
    assert splitter.feed(b"\ndata") == [b"data: 4\n\n"]
    assert splitter.rest() == b"data"


def test_an_event_has_a_name_and_joined_data() -> None:
    assert sse.read(b"event: a\r\ndata: 1\r\ndata:2\r\n\r\n") == Event(b"a", b"1\n2")
    assert sse.read(b"\xef\xbb\xbfdata: 1\n\n") == Event(b"", b"1")
    assert sse.read(b"data: 1\rdata: 2\n\n") == Event(b"", b"1\n2")


@pytest.mark.parametrize(
    "event",
    [
        b"data: 1\n\n",
        b"event: x\ndata: 1\n\n",
        b"data: 1\r\n\r\n",
        b"data:1\n\n",
        b"data: 1",
        b"event:x\ndata: 1\n\n",
    ],
)
def test_data_can_be_had_alone(event: bytes) -> None:
    assert sse.data_of(event) == sse.read(event).data == b"1"


@given(streams())
def test_data_had_alone_are_those_of_the_whole_event(event: bytes) -> None:
    assert sse.data_of(event) == sse.read(event).data


def test_a_comment_has_no_data() -> None:
    assert sse.read(sse.COMMENT).data is None
    assert sse.read(b": data\n\n") == Event(b"", None)


def test_what_is_written_can_be_read() -> None:
    assert sse.read(sse.write(b"{}", b"error")) == Event(b"error", b"{}")
    assert sse.read(sse.write(b"{}")) == Event(b"", b"{}")


def test_an_event_that_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 1000)
    splitter = Splitter()
    splitter.feed(b"data: " + b"x" * 900)
    with pytest.raises(PeerError, match="does not end") as caught:
        splitter.feed(b"x" * 200)
    assert caught.value.code == "provider_malformed"


def test_many_small_pieces_of_a_large_event_stay_linear() -> None:
    splitter = Splitter()
    for _ in range(20_000):
        splitter.feed(b"data: " + b"x" * 100 + b"\n")
    assert len(splitter.rest()) == 20_000 * 107


def test_an_event_says_where_a_stream_can_be_taken_up_again() -> None:
    assert sse.mark(b"id: 7\nretry: 100\ndata: \n\n") == (b"7", 100)
    assert sse.mark(b"data: x\n\n") == (b"", None)
    assert sse.mark(b"id:a\0b\nretry: soon\n\n") == (b"", None)

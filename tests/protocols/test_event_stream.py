import pytest

from ringfence.domain.error import PeerError
from ringfence.protocols import sse
from ringfence.protocols.event_stream import EventStream


class _Probe(EventStream):
    """Drops what says `drop`, ends at `end`, counts everything else."""

    def _take(self, event: bytes) -> bool:
        data = sse.read(event).data
        self._is_complete = data == b"end"
        self._count(data.decode() if data is not None else None)
        return data != b"drop"


def test_whole_events_pass_and_the_beginning_of_the_next_is_held() -> None:
    stream = _Probe()
    assert stream.feed(b"data: a\n\ndata: drop\n\ndata: b\n\nda") == b"data: a\n\ndata: b\n\n"
    assert stream.feed(b"ta: c\n\n") == b"data: c\n\n"
    assert stream.feed(b"data: drop\n\n") == b""
    assert stream.output_floor_tokens == 5


def test_nothing_passes_after_the_end_not_even_from_the_same_bytes() -> None:
    stream = _Probe()
    assert stream.feed(b"data: end\n\ndata: a\n\nda") == b"data: end\n\n"
    assert stream.is_complete
    assert stream.feed(b"ta: b\n\n") == b""
    assert stream.flush() == b""


def test_the_rest_is_given_at_the_end_of_the_stream() -> None:
    stream = _Probe()
    stream.feed(b"data: a\n\ndata: b")
    assert stream.flush() == b"data: b"
    assert stream.flush() == b""
    assert stream.output_floor_tokens == 2


def test_an_event_too_long_to_hold_ends_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 100)
    stream = _Probe()
    with pytest.raises(PeerError, match="does not end"):
        stream.feed(b"data: " + b"x" * 200)
    assert stream.flush() == b""


def test_long_pieces_count_as_the_fewest_tokens_they_can_be() -> None:
    stream = _Probe()
    stream.feed(b"data: " + b"x" * 640 + b"\n\n")
    assert stream.output_floor_tokens == 5

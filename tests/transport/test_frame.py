import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.error import PeerError
from ringfence.transport.frame import LENGTH_BYTES, Frames, frame


@given(st.lists(st.binary(max_size=40), max_size=8), st.data())
def test_payloads_survive_any_split_of_the_bytes(
    payloads: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(map(frame, payloads))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    frames = Frames(40)
    found: list[bytes] = []
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += frames.feed(stream[start:stop])
    assert found == payloads
    assert frames.held_bytes == 0


@given(st.binary(max_size=40), st.integers(0, 43))
def test_a_frame_that_is_not_whole_gives_nothing(payload: bytes, length: int) -> None:
    part = frame(payload)[:length]
    frames = Frames(40)
    assert frames.feed(part) == ([payload] if length >= len(payload) + LENGTH_BYTES else [])


def test_a_frame_up_to_the_bound_passes_and_one_above_it_is_refused() -> None:
    assert Frames(3).feed(frame(b"abc")) == [b"abc"]
    with pytest.raises(PeerError, match="larger than 3"):
        Frames(3).feed(frame(b"abcd"))


def test_a_frame_that_is_too_large_is_refused_before_it_has_come() -> None:
    frames = Frames(1000)
    with pytest.raises(PeerError):
        frames.feed((2**32 - 1).to_bytes(4, "big"))

from hypothesis import given
from hypothesis import strategies as st

from ringfence.stores.compression import Compressor, decompress


@given(st.lists(st.binary(max_size=2000), max_size=5))
def test_one_compressor_gives_whole_frames_one_after_another(pieces: list[bytes]) -> None:
    compressor = Compressor(1)
    packed = [compressor.compress(piece) for piece in pieces]
    assert [decompress(frame) for frame in packed] == pieces


def test_what_repeats_becomes_small() -> None:
    assert len(Compressor(3).compress(b"the same again " * 100)) < 60

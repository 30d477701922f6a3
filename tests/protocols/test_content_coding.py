import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.error import PeerError
from ringfence.protocols.content_coding import Undoing, can_undo, is_identity
from ringfence.stores.compression import Compressor

TEXT = b"a secret in an answer; " * 400


def bare_deflate(text: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(text) + packer.flush()


PACKED = {
    b"identity": TEXT,
    b"": TEXT,
    b" GZIP ": gzip.compress(TEXT),
    b"x-gzip": gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:]),
    b"deflate": zlib.compress(TEXT),
    b"Deflate": bare_deflate(TEXT),
    b"zstd": Compressor(level=3).compress(TEXT),
}


@pytest.mark.parametrize("coding", list(PACKED))
@given(size=st.integers(1, 300))
def test_a_body_is_read_however_it_arrives(coding: bytes, size: int) -> None:
    packed = PACKED[coding]
    undoing = Undoing(coding)
    out = b"".join(undoing.feed(packed[at : at + size]) for at in range(0, len(packed), size))
    undoing.finish()
    assert out == TEXT


@pytest.mark.parametrize("coding", [b"br", b"gzip, gzip", b"compress", b"unknown"])
def test_a_coding_that_is_not_known_is_refused(coding: bytes) -> None:
    assert not can_undo(coding)
    with pytest.raises(PeerError):
        Undoing(coding)


def test_no_coding_is_identity() -> None:
    assert can_undo(b"gzip")
    assert is_identity(b"")
    assert is_identity(b"Identity")
    assert not is_identity(b"gzip")


@pytest.mark.parametrize("coding", [b"gzip", b"deflate", b"zstd"])
def test_what_is_damaged_is_refused(coding: bytes) -> None:
    with pytest.raises(PeerError) as caught:
        Undoing(coding).feed(b"\x78\xff this is nothing of the kind" * 10)
    assert caught.value.code == "answer_encoded"


@pytest.mark.parametrize("coding", [b" GZIP ", b"deflate", b"zstd"])
def test_what_is_cut_short_is_refused_at_its_end(coding: bytes) -> None:
    undoing = Undoing(coding)
    undoing.feed(PACKED[coding][:-3])
    with pytest.raises(PeerError):
        undoing.finish()


@pytest.mark.parametrize("coding", [b"gzip", b"zstd"])
def test_a_body_that_grows_without_end_is_cut(coding: bytes) -> None:
    zeros = bytes(40_000_000)
    packed = gzip.compress(zeros) if coding == b"gzip" else Compressor(level=3).compress(zeros)
    undoing = Undoing(coding)
    with pytest.raises(PeerError) as caught:
        undoing.feed(packed)
    assert "grows without end" in caught.value.message

"""WebSocket frames, in whatever pieces they come."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.error import PeerError
from ringfence.protocols.web_socket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    FrameReader,
    write_frame,
)


def masked(opcode: int, payload: bytes, *, is_last: bool = True, key: bytes = b"\1\2\3\4") -> bytes:
    plain = write_frame(opcode, payload, is_last=is_last)
    head = plain[: len(plain) - len(payload)]
    mixed = bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))
    return bytes((head[0], head[1] | 0x80)) + head[2:] + key + mixed


def read(data: bytes, *, is_masked: bool, size: int) -> list[tuple[int, bytes, bool]]:
    """Messages and control frames, with their pieces joined."""
    reader = FrameReader(is_masked=is_masked)
    found: list[tuple[int, bytes, bool]] = []
    parts = b""
    for at in range(0, len(data), size):
        for piece in reader.feed(data[at : at + size]):
            if piece.is_control:
                found.append((piece.opcode, piece.payload, True))
                continue
            parts += piece.payload
            if piece.is_last:
                found.append((piece.opcode, parts, True))
                parts = b""
    return found


@given(
    st.lists(st.tuples(st.sampled_from([TEXT, BINARY]), st.binary(max_size=300)), max_size=4),
    st.booleans(),
    st.integers(min_value=1, max_value=400),
)
def test_any_split_of_the_bytes_gives_the_same_messages(
    messages: list[tuple[int, bytes]],
    is_masked: bool,  # noqa: FBT001 (drawn)
    size: int,
) -> None:
    data = b""
    for opcode, payload in messages:
        half = len(payload) // 2
        write = masked if is_masked else write_frame
        data += write(opcode, payload[:half], is_last=False)
        data += write(PING, b"still there?", is_last=True)
        data += write(CONTINUATION, payload[half:], is_last=True)
    found = read(data, is_masked=is_masked, size=size)
    assert [each[:2] for each in found if each[0] != PING] == messages
    assert sum(each[0] == PING for each in found) == len(messages)


@pytest.mark.parametrize("length", [0, 125, 126, 65_535, 65_536])
def test_every_length_has_its_form(length: int) -> None:
    frame = write_frame(BINARY, bytes(length), is_last=True)
    assert read(frame, is_masked=False, size=4096) == [(BINARY, bytes(length), True)]


@pytest.mark.parametrize(
    "data",
    [
        b"\xc1\x00",  # a reserved bit: an extension that nobody agreed upon
        b"\x83\x00",  # an unknown opcode
        b"\x81\x80\0\0\0\0",  # masked, from a server
        b"\x09\x00",  # a ping in pieces
        b"\x89\x7e\x00\x7e",  # a long ping
        b"\x80\x00",  # the rest of nothing
        b"\x01\x00\x01\x00",  # a message within another
        b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff",
    ],
)
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(PeerError):
        list(FrameReader(is_masked=False).feed(data))


def test_a_client_that_does_not_mask_is_refused() -> None:
    with pytest.raises(PeerError):
        list(FrameReader(is_masked=True).feed(write_frame(CLOSE, b"", is_last=True)))


@given(st.binary(max_size=60))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    try:
        list(FrameReader(is_masked=False).feed(data))
    except PeerError:
        return


class Counted(bytes):
    """Counts the bytes that are copied out of it, and of what it is put together with."""

    copied = 0

    def __radd__(self, other: bytes) -> "Counted":
        return Counted(bytes(other) + bytes(self))

    def __getitem__(self, at: Any) -> Any:  # noqa: ANN401 (as `bytes` has it)
        part = super().__getitem__(at)
        if not isinstance(part, bytes):
            return part
        type(self).copied += len(part)
        return Counted(part)


def test_many_small_frames_at_once_are_read_in_one_pass() -> None:
    """Else a quarter of a megabyte of empty frames would keep everybody waiting for a second."""
    data = masked(PING, b"") * 5_000
    reader = FrameReader(is_masked=True)
    Counted.copied = 0
    assert sum(1 for _ in reader.feed(Counted(data))) == 5_000
    assert Counted.copied < 2 * len(data)

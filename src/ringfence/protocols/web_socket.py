"""WebSocket frames as they pass: read piece by piece, and written anew.

Source: RFC 6455 sections 5.2 to 5.5. No extension is spoken: what would need one is refused.
"""

from collections.abc import Iterator
from typing import Final, final

import msgspec

from ringfence.domain.error import PeerError
from ringfence.domain.verdict import Code

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_KNOWN: Final = frozenset({CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})
_CONTROL: Final = 0x8
_FIN, _RESERVED, _OPCODE, _MASK, _LENGTH = 0x80, 0x70, 0x0F, 0x80, 0x7F
_SHORT, _TWO, _EIGHT = 125, 126, 127
_LONGEST: Final = 2**62


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """Some payload of one frame, unmasked.

    `opcode` is that of the message it belongs to, or of a control frame. `is_last` tells whether
    the message, or the control frame, ends with it.
    """

    opcode: int
    payload: bytes
    is_last: bool

    @property
    def is_control(self) -> bool:
        """Whether it is a close, a ping or a pong."""
        return bool(self.opcode & _CONTROL)


@final
class FrameReader:
    """One direction. Raises PeerError `request_malformed` for what is no frame."""

    def __init__(self, *, is_masked: bool) -> None:
        """Frames of a client are masked, those of a server are not."""
        self._is_masked = is_masked
        self._buffer = b""
        self._from = 0
        """What of the buffer has been read."""
        self._message = 0
        """The opcode of the message that is under way; 0 between two."""
        self._opcode = 0
        self._is_fin = False
        self._left = -1
        """How much of the payload is still to come; -1 between two frames."""
        self._key = b""
        self._at = 0

    def feed(self, data: bytes) -> Iterator[Piece]:
        """The pieces that these bytes bring."""
        self._buffer = self._buffer[self._from :] + data
        self._from = 0
        while self._left >= 0 or self._head():
            taken = self._buffer[self._from : self._from + self._left]
            if not taken and self._left:
                return
            if self._opcode & _CONTROL and len(taken) < self._left:
                return  # a control frame is short, and comes whole
            self._from += len(taken)
            self._left -= len(taken)
            yield self._piece(taken)

    def _piece(self, taken: bytes) -> Piece:
        payload = self._unmasked(taken)
        is_control = bool(self._opcode & _CONTROL)
        opcode = self._opcode if is_control else self._message
        is_last = not self._left and self._is_fin
        if not self._left:
            self._left = -1
            if is_last and not is_control:
                self._message = 0
        return Piece(opcode=opcode, payload=payload, is_last=is_last)

    def _head(self) -> bool:
        """Read the head of a frame; whether it was all there."""
        data, at = self._buffer, self._from
        if len(data) < at + 2:
            return False
        first, second = data[at], data[at + 1]
        opcode, length = first & _OPCODE, second & _LENGTH
        extra = {_TWO: 2, _EIGHT: 8}.get(length, 0)
        key = at + 2 + extra
        end = key + (4 if second & _MASK else 0)
        self._check(first, second, opcode)
        if len(data) < end:
            return False
        if extra:
            length = int.from_bytes(data[at + 2 : key])
        if length > _LONGEST or (opcode & _CONTROL and length > _SHORT):
            raise _malformed("its length is not possible")
        self._key = data[key:end]
        self._at = 0
        self._opcode, self._is_fin, self._left = opcode, bool(first & _FIN), length
        if not opcode & _CONTROL and opcode:
            self._message = opcode
        self._from = end
        return True

    def _check(self, first: int, second: int, opcode: int) -> None:
        if first & _RESERVED or opcode not in _KNOWN:
            raise _malformed("it uses what was not agreed upon")
        if bool(second & _MASK) != self._is_masked:
            raise _malformed("its mask is not as it must be")
        if opcode & _CONTROL:
            if not first & _FIN:
                raise _malformed("a control frame is cut into pieces")
        elif bool(opcode) == bool(self._message):
            raise _malformed("a message begins within another, or without a beginning")

    def _unmasked(self, data: bytes) -> bytes:
        if not self._is_masked or not data:
            return data
        shift = self._at % 4
        self._at += len(data)
        key = (self._key[shift:] + self._key[:shift]) * (len(data) // 4 + 1)
        size = len(data)
        mixed = int.from_bytes(data) ^ int.from_bytes(key[:size])
        return mixed.to_bytes(size)


def write_frame(opcode: int, payload: bytes, *, is_last: bool) -> bytes:
    """A frame of a server: with no mask."""
    first, size = opcode | (_FIN if is_last else 0), len(payload)
    if size <= _SHORT:
        return bytes((first, size)) + payload
    if size < 1 << 16:
        return bytes((first, _TWO)) + size.to_bytes(2) + payload
    return bytes((first, _EIGHT)) + size.to_bytes(8) + payload


def _malformed(why: str) -> PeerError:
    return PeerError(Code.REQUEST_MALFORMED, f"a WebSocket frame cannot be read: {why}")

"""Cut a stream of bytes into frames: a length, then that many bytes."""

from typing import Final, final

from ringfence.domain.error import PeerError

LENGTH_BYTES: Final = 4


def frame(payload: bytes) -> bytes:
    """A payload with its length before it, four bytes, big-endian."""
    return len(payload).to_bytes(LENGTH_BYTES, "big") + payload


@final
class Frames:
    """Fed bytes in any pieces, gives the payloads that are whole, in order."""

    def __init__(self, limit_bytes: int) -> None:
        """`limit_bytes` bounds one payload, so that a peer cannot make us hold more."""
        self._limit_bytes = limit_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads that these bytes complete.

        Raises PeerError `frame_too_large`; the stream cannot be read any further then.
        """
        buffer = self._buffer
        buffer += data
        payloads: list[bytes] = []
        at = 0
        while len(buffer) - at >= LENGTH_BYTES:
            size = int.from_bytes(buffer[at : at + LENGTH_BYTES], "big")
            if size > self._limit_bytes:
                what = f"a frame of {size} bytes is larger than {self._limit_bytes}"
                raise PeerError("frame_too_large", what)
            end = at + LENGTH_BYTES + size
            if len(buffer) < end:
                break
            payloads.append(bytes(buffer[at + LENGTH_BYTES : end]))
            at = end
        del buffer[:at]
        return payloads

    @property
    def held_bytes(self) -> int:
        """How much of a frame that is not whole has come."""
        return len(self._buffer)

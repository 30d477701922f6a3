"""What was printed while a sandbox ran: its beginning and its end, within a bound.

Evidence for people who read a trace, and no more: what a terminal shows is the agent's choice.
"""

from collections import deque
from typing import Final, final

HEAD_BYTES: Final = 1 << 20
TAIL_BYTES: Final = 1 << 20
"""How a run begins and how it ends says most; what lies between is counted."""


@final
class Transcript:
    """Takes what is printed, in order; `head` and `tail` are how much is kept of both ends."""

    def __init__(self, *, head: int = HEAD_BYTES, tail: int = TAIL_BYTES) -> None:
        """Nothing was printed yet."""
        self._head_bytes, self._tail_bytes = head, tail
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._held = 0
        self._total = 0

    def __len__(self) -> int:
        """How much was printed."""
        return self._total

    def see(self, data: bytes) -> None:
        """Something was printed."""
        self._total += len(data)
        room = self._head_bytes - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        if data:
            self._tail.append(data[-self._tail_bytes :])
            self._held += len(self._tail[-1])
        while self._tail and self._held - len(self._tail[0]) >= self._tail_bytes:
            self._held -= len(self._tail.popleft())

    def body(self) -> bytes:
        """What is kept, with a line that says how much is not."""
        tail = b"".join(self._tail)[-self._tail_bytes :]
        left_out = self._total - len(self._head) - len(tail)
        if not left_out:
            return bytes(self._head) + tail
        mark = f"\r\n[ringfence: {left_out} bytes are left out here]\r\n".encode()
        return bytes(self._head) + mark + tail

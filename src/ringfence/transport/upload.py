"""The body of a request to an upstream that is still on its way here."""

import asyncio
from typing import Protocol, final


class Carrier(Protocol):
    """The upstream's connection, as an upload sees it."""

    def write_body(self, data: bytes) -> None:
        """Send a piece; dropped if the connection is closed."""

    def give_up(self) -> None:
        """Close at once."""


@final
class Upload:
    """Takes a body piece by piece and sends it with the framing that was stated.

    What comes before the connection is there is kept; `drain` keeps whoever writes from bringing
    more than the upstream takes.
    """

    def __init__(self, length: int | None) -> None:
        """`length` is what the request states of its body; None sends it in chunks."""
        self.length = length
        self._left = length
        self._carrier: Carrier | None = None
        self._kept: list[bytes] = []
        self._is_paused = True
        self._waiter: asyncio.Future[None] | None = None
        self.is_ended = False
        """Whether all of it was given here."""
        self.is_over = False
        """Whether nobody wants any more of it."""

    def write(self, data: bytes) -> None:
        """Add a piece. Raises ValueError beyond the length that was stated."""
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                raise ValueError("the body is longer than its stated length")
        if data:
            self._send(data if self.length is not None else b"%x\r\n%b\r\n" % (len(data), data))

    def end(self) -> None:
        """It is complete. Raises ValueError if it is shorter than it was said to be."""
        if self._left:
            self.abort()
            raise ValueError("the body is shorter than its stated length")
        if self.length is None:
            self._send(b"0\r\n\r\n")
        self.is_ended = True

    def abort(self) -> None:
        """It broke off: the upstream must see a cut and not an end. Harmless after the end."""
        if not self.is_ended and self._carrier is not None:
            self._carrier.give_up()
        self.stop()

    async def drain(self) -> None:
        """Wait until the upstream has taken enough, or wants no more."""
        if self._is_paused and not self.is_over:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def _send(self, data: bytes) -> None:
        if self.is_over:
            return
        if self._carrier is None:
            self._kept.append(data)
        else:
            self._carrier.write_body(data)

    # From the connection

    def begin(self, carrier: Carrier) -> None:
        """The head has been sent: send what was kept, and go on."""
        self._carrier = carrier
        self._is_paused = False
        kept, self._kept = self._kept, []
        for data in kept:
            carrier.write_body(data)
        self._wake()

    def paused(self) -> None:
        """The upstream takes too slowly."""
        self._is_paused = True

    def resumed(self) -> None:
        """It has caught up."""
        self._is_paused = False
        self._wake()

    def stop(self) -> None:
        """Nobody wants the rest: it is answered, or broke off."""
        self.is_over = True
        self._carrier = None
        self._kept.clear()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

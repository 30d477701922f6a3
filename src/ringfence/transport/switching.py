"""A connection to an upstream that is offered another protocol, and given away if it takes it."""

import asyncio
from typing import cast, final

from ringfence.transport.answer import Answer
from ringfence.transport.deadline import NEVER, Sweeper
from ringfence.transport.framing import Malformed
from ringfence.transport.http import Headers
from ringfence.transport.limits import ClientLimits
from ringfence.transport.message import IDLE
from ringfence.transport.reply import HandedOver
from ringfence.transport.upstream import Keeper, UpstreamConnection

SWITCHING = 101


@final
class SwitchingConnection(UpstreamConnection):
    """For one request. An answer with status 101 is told like any other, and then `hand_over`."""

    __slots__ = ("_rest",)

    def __init__(self, limits: ClientLimits, sweeper: Sweeper, keeper: Keeper) -> None:
        """Not connected yet."""
        super().__init__(limits, sweeper, keeper)
        self._rest: bytes | None = None
        """What came after the answer that took the offer; None while none did."""

    def hand_over(self) -> HandedOver:
        """Give the connection away, its reading paused, with what the upstream has said already."""
        self._is_waiting = False
        self._answer = None
        self.deadline = NEVER
        self._sweeper.discard(self)
        rest, self._rest = self._rest or b"", b""
        return HandedOver(self._transport, rest)

    def data_received(self, data: bytes) -> None:
        """What comes after the change is kept for whoever goes on."""
        if self._rest is None:
            super().data_received(data)
        else:
            self._rest += data

    def _skip_interim(self, status: int, headers: Headers) -> None:
        if status != SWITCHING:
            super()._skip_interim(status, headers)
            return
        if dict(headers).get(b"upgrade", b"").lower() != b"websocket":
            raise Malformed("the upstream changed to a protocol that it was not offered")
        self._answer = Answer(self, status, headers, 0)

    def _changed(self, rest: bytes) -> None:
        answer, taker = self._answer, self._taker
        if answer is None or answer.status != SWITCHING or taker is None:
            super()._changed(rest)
            return
        self._state = IDLE
        self._taker = None
        self._rest = rest
        self._transport.pause_reading()
        taker.answered(answer)


@final
class Apart:
    """Keeps the connections that belong to no pool, so that they can be closed."""

    def __init__(self) -> None:
        """None yet."""
        self._lines: set[UpstreamConnection] = set()

    def add(self, line: UpstreamConnection) -> None:
        """Keep one until it is lost or given away."""
        self._lines.add(line)

    def free(self, line: UpstreamConnection) -> None:
        """Its exchange is over, and it is of no further use."""
        line.give_up()

    def lost(self, line: UpstreamConnection) -> None:
        """It is closed, or somebody else's."""
        self._lines.discard(line)

    def close(self) -> None:
        """Close all of them."""
        for line in tuple(self._lines):
            line.give_up()


@final
class Dialled(asyncio.Protocol):
    """Holds a new connection until somebody takes it."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Read nothing yet."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by name
        self.transport.pause_reading()


class Offered:
    """What an upstream says to an offer."""

    __slots__ = ("answer", "line")

    def __init__(self, answer: Answer, line: SwitchingConnection) -> None:
        """An answer with status 101 means that `line` is to be handed over."""
        self.answer = answer
        self.line = line

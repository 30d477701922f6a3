"""Two connections joined to one: what comes on either goes out on the other, with back-pressure."""

import asyncio
from collections.abc import Callable
from typing import final

from ringfence.transport.deadline import NEVER, Sweeper

Passed = Callable[["Side", bytes], bytes | None]
"""Asked about every piece: what goes on in its place, or None to cut the tunnel."""
Over = Callable[["Tunnel"], None]


@final
class Side(asyncio.Protocol):
    """One end of a tunnel."""

    def __init__(self, tunnel: "Tunnel", transport: asyncio.Transport) -> None:
        """Made by `Tunnel` alone."""
        self._tunnel = tunnel
        self.transport = transport
        self.bytes = 0
        """How much has come in here."""

    def data_received(self, data: bytes) -> None:
        """Pass it on."""
        self.bytes += len(data)
        self._tunnel.passed(self, data)

    def eof_received(self) -> None:
        """This end says no more: the tunnel ends when what is on its way has gone out."""

    def connection_lost(self, _error: Exception | None) -> None:
        """The other end has nobody left to speak to."""
        self._tunnel.end()

    def pause_writing(self) -> None:
        """This end takes too slowly: read no more from the other."""
        self._tunnel.other(self).hold()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._tunnel.other(self).release()

    def hold(self) -> None:
        """Read no more."""
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def release(self) -> None:
        """Read on."""
        if not self.transport.is_closing():
            self.transport.resume_reading()


@final
class Tunnel:
    """INVARIANT: `over` is called once, when both ends are closed or closing."""

    def __init__(  # noqa: PLR0913 (a tunnel has these parts)
        self,
        client: asyncio.Transport,
        upstream: asyncio.Transport,
        *,
        sweeper: Sweeper,
        idle_s: float,
        passed: Passed,
        over: Over,
    ) -> None:
        """Join two connections; `begin` lets them speak. Nothing for `idle_s` ends it."""
        self.client = Side(self, client)
        self.upstream = Side(self, upstream)
        self._sweeper = sweeper
        self._idle_s = idle_s
        self._passed = passed
        self._over: Over | None = over
        self._loop = asyncio.get_running_loop()
        self.deadline = NEVER

    def begin(self, from_client: bytes = b"", from_upstream: bytes = b"") -> None:
        """Let them speak, beginning with what was read already."""
        self.deadline = self._loop.time() + self._idle_s
        self._sweeper.add(self)
        for side in (self.client, self.upstream):
            side.transport.set_protocol(side)
            side.release()
        for side, data in ((self.upstream, from_upstream), (self.client, from_client)):
            if data:
                side.data_received(data)
        if self.client.transport.is_closing() or self.upstream.transport.is_closing():
            self.end()

    def other(self, side: Side) -> Side:
        """The end that is not this one."""
        return self.upstream if side is self.client else self.client

    def passed(self, side: Side, data: bytes) -> None:
        """Something came in at one end."""
        if self._over is None:
            return
        self.deadline = self._loop.time() + self._idle_s
        goes_on = self._passed(side, data)
        if goes_on is None:
            self.cut()
        elif goes_on:
            self.other(side).transport.write(goes_on)

    def expire(self) -> None:
        """Nothing was said for too long."""
        self.end()

    def end(self) -> None:
        """Send what is on its way, and close."""
        self._finish(abort=False)

    def cut(self) -> None:
        """Close at once."""
        self._finish(abort=True)

    def _finish(self, *, abort: bool) -> None:
        over, self._over = self._over, None
        if over is None:
            return
        self._sweeper.discard(self)
        for side in (self.client, self.upstream):
            if abort:
                side.transport.abort()
            elif not side.transport.is_closing():
                side.transport.close()
        over(self)

"""The first bytes of a connection, collected until somebody can say what it is."""

import asyncio
from collections.abc import Callable
from typing import Final, cast, final

from ringfence.transport.deadline import NEVER
from ringfence.transport.service import Service

GREETING_BYTES: Final = 160 * 1024
"""More than the longest TLS hello that any library takes, cut into the smallest records."""

Decide = Callable[["Greeting", bytes], None]
"""Called with everything that has come so far, each time; takes the connection over when it can."""


@final
class Greeting(asyncio.Protocol):
    """Waits for what a client says first; `take` then gives the connection away, `close` ends it.

    INVARIANT: nothing of what it reads is lost, and a client that says too much, too slowly or
    nothing is cut.
    """

    def __init__(self, decide: Decide, service: Service) -> None:
        """Not connected yet; counts as one of the connections of the service until it is taken."""
        self._decide = decide
        self._service = service
        self._data = b""
        self._is_over = False
        self.transport: asyncio.Transport
        self.deadline = NEVER

    def adopt(self, transport: asyncio.Transport, data: bytes) -> None:
        """Take over a connection on which something else was spoken before."""
        transport.set_protocol(self)
        self._begin(transport, is_known=True)
        if not transport.is_closing():
            transport.resume_reading()
        if data:
            self.data_received(data)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the client to speak."""
        self._begin(transport, is_known=False)

    def _begin(self, transport: asyncio.BaseTransport, *, is_known: bool) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by name
        service = self._service
        if not service.takes(transport, is_known=is_known):
            self.transport.abort()
            self._is_over = True
            return
        service.connections.add(self)
        service.sweeper.add(self)
        self.deadline = service.loop.time() + service.limits.headers_s

    def data_received(self, data: bytes) -> None:
        """Ask whether it is enough."""
        if self._is_over:
            return
        self._data += data
        if len(self._data) > GREETING_BYTES:
            self.close(b"")
        else:
            self._decide(self, self._data)

    def connection_lost(self, _error: Exception | None) -> None:
        """The client has left."""
        self._forget()

    def expire(self) -> None:
        """It took too long."""
        self.close(b"")

    def drain(self) -> None:
        """Nothing is going on yet."""
        self.close(b"")

    def cut(self) -> None:
        """Close at once."""
        self.close(b"")

    def take(self) -> asyncio.Transport:
        """Give the connection to whoever sets a protocol of its own on it now."""
        self._forget()
        return self.transport

    def close(self, last: bytes) -> None:
        """Say this, and close."""
        self._forget()
        if self.transport.is_closing():
            return
        if last:
            self.transport.write(last)
            self.transport.close()
        else:
            self.transport.abort()

    def _forget(self) -> None:
        self._is_over = True
        self._data = b""
        self.deadline = NEVER
        self._service.left(self)

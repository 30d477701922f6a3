"""The server side of TLS on a connection that has already begun.

The event loops can only begin with TLS, or need a task to change to it. Here bytes that have been
read already may come first, and the change is made within a callback.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Any, Final, final

from ringfence.transport.deadline import NEVER
from ringfence.transport.service import Service

_READ_BYTES: Final = 16 * 1024
"""As much as one record holds (RFC 8446 section 5.1): OpenSSL gives no more at once."""
Failed = Callable[[str], None]


def _nothing() -> None:
    """Nobody wants to know."""


@final
class TlsStream(asyncio.Protocol, asyncio.Transport):
    """A protocol to the connection below it, and a transport to the protocol above it."""

    def __init__(  # noqa: PLR0913 (a connection in the middle has these neighbours)
        self,
        below: asyncio.Transport,
        context: ssl.SSLContext,
        above: asyncio.Protocol,
        *,
        service: Service,
        failed: Failed,
        over: Callable[[], None] = _nothing,
    ) -> None:
        """`failed` is told, in words of OpenSSL, of a handshake that comes to nothing.

        `over` is told once when it is done, well or not.
        """
        super().__init__()
        self._below = below
        self._above: asyncio.BaseProtocol = above
        self._service = service
        self._failed: Failed | None = failed
        self._over = over
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._is_ready = False
        self._is_closing = False
        self.deadline = NEVER

    def begin(self, data: bytes) -> None:
        """Take the connection over; `data` were read from it and belong to the handshake."""
        service = self._service
        self.deadline = service.loop.time() + service.limits.headers_s
        service.connections.add(self)
        service.sweeper.add(self)
        self._below.set_protocol(self)
        if not self._below.is_closing():
            self._below.resume_reading()
        if data:
            self.data_received(data)

    # As a protocol

    def data_received(self, data: bytes) -> None:
        """Decrypt, and hand up what there is."""
        if self._is_closing:
            return
        self._incoming.write(data)
        if not self._is_ready and not self._shake():
            return
        self._read()

    def eof_received(self) -> None:
        """The peer has closed its side without saying so in TLS; the connection ends with it."""

    def connection_lost(self, error: Exception | None) -> None:
        """Tell whoever is above."""
        self._service.left(self)
        self._is_closing = True
        if self._is_ready:
            self._above.connection_lost(error)
        else:
            self._fail("the client left during the handshake")

    def pause_writing(self) -> None:
        """The peer takes too slowly."""
        if self._is_ready:
            self._above.pause_writing()

    def resume_writing(self) -> None:
        """The peer has caught up."""
        if self._is_ready:
            self._above.resume_writing()

    def expire(self) -> None:
        """The handshake takes too long."""
        self._fail("the handshake took too long")
        self._below.abort()

    def drain(self) -> None:
        """Nothing is going on before the handshake is done."""
        self.cut()

    def cut(self) -> None:
        """Close at once."""
        self._fail("it was cut")
        self.abort()

    def _shake(self) -> bool:
        """Go on with the handshake; whether it is done."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        except ssl.SSLError as error:
            self._flush()
            self._fail(error.reason or "the handshake failed")
            self._is_closing = True
            self._below.close()
            return False
        self._flush()
        self._is_ready = True
        self._failed = None
        self._over()
        self.deadline = NEVER
        self._service.left(self)
        self._above.connection_made(self)
        return not self._is_closing

    def _read(self) -> None:
        parts: list[bytes] = []
        is_over = False
        try:
            while part := self._tls.read(_READ_BYTES):
                parts.append(part)
                if not self._incoming.pending and not self._tls.pending():
                    break  # to be told so by an exception would cost more than to look
            else:
                is_over = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            is_over = True
        except ssl.SSLError:
            self._below.abort()
            return
        above = self._above
        if parts and isinstance(above, asyncio.Protocol):
            above.data_received(parts[0] if len(parts) == 1 else b"".join(parts))
        if is_over:
            self.close()
        else:
            self._flush()

    def _flush(self) -> None:
        data = self._outgoing.read()
        if data:
            self._below.write(data)

    def _fail(self, why: str) -> None:
        failed, self._failed = self._failed, None
        if failed is not None:
            self._over()
            failed(why)

    # As a transport

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send."""
        if self._is_closing:
            return
        try:
            sent = self._tls.write(data) if data else 0
            while sent < len(data):
                sent += self._tls.write(memoryview(data)[sent:])
        except ssl.SSLError:
            self._below.abort()
            return
        self._below.write(self._outgoing.read())

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Give everything that comes to another protocol from now on."""
        self._above = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The protocol above."""
        return self._above

    def is_closing(self) -> bool:
        """Whether nothing more can be sent."""
        return self._is_closing or self._below.is_closing()

    def close(self) -> None:
        """Say that it is over, send what is left, and close."""
        if self._is_closing:
            return
        self._is_closing = True
        with contextlib.suppress(ssl.SSLError):  # it waits for an answer that nobody needs
            self._tls.unwrap()
        self._flush()
        self._below.close()

    def abort(self) -> None:
        """Close at once."""
        self._is_closing = True
        self._below.abort()

    def pause_reading(self) -> None:
        """Read no more for now."""
        if not self.is_closing():
            self._below.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        if not self.is_closing():
            self._below.resume_reading()

    def can_write_eof(self) -> bool:
        """TLS cannot close one side alone here."""
        return False

    def get_write_buffer_size(self) -> int:
        """What is not sent yet."""
        return self._below.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 (asyncio's own)
        """What the connection below knows of itself."""
        return self._below.get_extra_info(name, default)

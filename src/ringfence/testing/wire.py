"""A transport without a network: keeps what is written, and closes when it is told."""

import asyncio


class ManualTransport(asyncio.Transport):
    """Holds one protocol object; a test feeds it bytes and reads what it wrote."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        """Made inside a running loop; connects at once."""
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.protocol = protocol
        self.written = bytearray()
        self.is_reading_now = True
        self.is_eof_written = False
        self.is_lost = False
        self._is_closing = False
        protocol.connection_made(self)

    def feed(self, data: bytes) -> None:
        """Bytes from the peer; dropped when closed, as a network does."""
        if not self._is_closing and data:
            self.protocol.data_received(data)

    def feed_eof(self) -> None:
        """The peer closes its side."""
        if not self._is_closing and not self.protocol.eof_received():
            self.close()

    def lose(self, error: Exception | None = None) -> None:
        """The connection is gone."""
        self._is_closing = True
        if not self.is_lost:
            self.is_lost = True
            self.protocol.connection_lost(error)

    # asyncio.Transport

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Feed another one from now on."""
        if isinstance(protocol, asyncio.Protocol):
            self.protocol = protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep the bytes."""
        if not self._is_closing:
            self.written += data

    def get_write_buffer_size(self) -> int:
        """Nothing ever waits to be sent."""
        return 0

    def can_write_eof(self) -> bool:
        """As TCP can."""
        return True

    def write_eof(self) -> None:
        """Note it."""
        self.is_eof_written = True

    def pause_reading(self) -> None:
        """Note it."""
        self.is_reading_now = False

    def resume_reading(self) -> None:
        """Note it."""
        self.is_reading_now = True

    def is_closing(self) -> bool:
        """Whether it was closed from either side."""
        return self._is_closing

    def close(self) -> None:
        """Close; the protocol hears of it in the next turn of the loop."""
        if not self._is_closing:
            self._is_closing = True
            asyncio.get_running_loop().call_soon(self.lose)

    def abort(self) -> None:
        """Like `close`: nothing waits here to be sent."""
        self.close()

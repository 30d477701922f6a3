"""Counts requests on the wire between a client and the plane, apart from the plane's own books."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

_REQUEST = re.compile(rb"(GET|HEAD|POST|PUT|DELETE|OPTIONS) (/[^ \r\n]*) HTTP/1\.[01]\r\n")
_CHUNK_BYTES = 65536
_LINE_BYTES = 8192
_MODEL_PATH = re.compile(
    r"/(chat/completions|responses|messages)$|:(generateContent|streamGenerateContent)$"
)


class Wire:
    """Passes bytes on to a port, unchanged, and notes the request lines among them."""

    def __init__(self) -> None:
        """Nothing passed yet, and nowhere to pass it."""
        self.url = ""
        self.target = ("127.0.0.1", 0)
        self.requests: list[tuple[str, str]] = []
        self.connections = 0

    @property
    def model_calls(self) -> int:
        """How many requests were model calls (not listings, probes or token counts)."""
        paths = [path.partition("?")[0] for method, path in self.requests if method == "POST"]
        return sum(1 for path in paths if _MODEL_PATH.search(path))

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        try:
            up_reader, up_writer = await asyncio.open_connection(*self.target)
        except OSError:
            writer.close()
            return
        self.connections += 1
        back = asyncio.create_task(_pass(up_reader, writer))
        tail = b""
        with suppress(ConnectionError):
            while data := await reader.read(_CHUNK_BYTES):
                tail = self._note(tail + data)
                up_writer.write(data)
                await up_writer.drain()
        with suppress(ConnectionError, OSError):
            up_writer.close()
        await back

    def _note(self, data: bytes) -> bytes:
        """Note the request lines; give back what may be the beginning of one."""
        end = 0
        for match in _REQUEST.finditer(data):
            self.requests.append((match[1].decode(), match[2].decode()))
            end = match.end()
        return data[max(end, len(data) - _LINE_BYTES) :]


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(_CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    with suppress(ConnectionError, OSError):
        writer.close()


@asynccontextmanager
async def listening() -> AsyncIterator[Wire]:
    """A wire on a free port."""
    wire = Wire()
    server = await asyncio.start_server(wire.accept, "127.0.0.1", 0)
    wire.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield wire
    finally:
        server.close()

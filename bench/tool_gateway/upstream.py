"""A fake MCP server that costs little: of both eras, without sessions, answers made beforehand.

`GET /count` tells how many calls it has answered. `python -m bench.tool_gateway.upstream PORT`.
"""

import asyncio
import json
import re
import sys
from typing import Final

import uvloop
from bench.model_gateway.upstream import length_of
from bench.tool_gateway.scenario import LEGACY, MODERN, TEXT, TOOLS

HEAD: Final = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
_ID: Final = re.compile(rb'"id"\s*:\s*("[^"]*"|[0-9]+)')
_METHOD: Final = re.compile(rb'"method"\s*:\s*"([^"]+)"')
_VERSION: Final = re.compile(rb'"protocolVersion"\s*:\s*"([^"]+)"')
_INFO: Final = {"name": "bench", "version": "1"}
_CAPABILITIES: Final = {"tools": {"listChanged": False}}


def _tool(number: int) -> dict[str, object]:
    name = "echo" if number == 0 else f"tool_{number:03}"
    return {
        "name": name,
        "description": f"Give back the text that it is given. Number {number}.",
        "inputSchema": {
            "type": "object",
            "properties": {"text": {"type": "string", "description": "The text."}},
            "required": ["text"],
        },
        "annotations": {"readOnlyHint": True},
    }


def _encoded(result: dict[str, object]) -> bytes:
    return json.dumps(result, separators=(",", ":")).encode()


_KEPT: Final = {"ttlMs": 60_000, "cacheScope": "private", "resultType": "complete"}
RESULTS: Final = {
    b"tools/list": _encoded({"tools": [_tool(number) for number in range(TOOLS)], **_KEPT}),
    b"tools/call": _encoded(
        {"content": [{"type": "text", "text": TEXT}], "isError": False, "resultType": "complete"}
    ),
    b"server/discover": _encoded(
        {
            "supportedVersions": [MODERN, LEGACY],
            "capabilities": _CAPABILITIES,
            "serverInfo": _INFO,
            **_KEPT,
        }
    ),
    b"ping": b"{}",
}


class Server(asyncio.Protocol):
    """One connection. Requests come one at a time."""

    count = 0

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._parts = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's is none by name

    def data_received(self, data: bytes) -> None:
        self._parts += data
        end = self._parts.find(b"\r\n\r\n")
        if end < 0:
            return
        size = end + 4 + length_of(self._parts[:end])
        if len(self._parts) < size:
            return
        whole, self._parts = self._parts[:size], self._parts[size:]
        if whole.startswith(b"POST"):
            self._answer(whole[end + 4 :])
        elif whole.startswith(b"GET /count"):
            self._send(b"200 OK", b"%d" % Server.count)
        else:
            self._send(b"405 Method Not Allowed", b"")

    def _answer(self, message: bytes) -> None:
        method = _METHOD.search(message)
        number = _ID.search(message)
        if method is None or number is None:
            self._send(b"202 Accepted", b"")
            return
        name = method[1]
        Server.count += name == b"tools/call"
        if name == b"initialize":
            asked = _VERSION.search(message)
            result = _encoded(
                {
                    "protocolVersion": asked[1].decode() if asked else LEGACY,
                    "capabilities": _CAPABILITIES,
                    "serverInfo": _INFO,
                }
            )
        elif name in RESULTS:
            result = RESULTS[name]
        else:
            error = b'{"jsonrpc":"2.0","id":%b,"error":{"code":-32601,"message":"no such method"}}'
            self._send(b"404 Not Found", error % number[1])
            return
        self._send(b"200 OK", b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (number[1], result))

    def _send(self, status: bytes, body: bytes) -> None:
        self._transport.write(HEAD % (status, len(body)) + body)


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Server, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))

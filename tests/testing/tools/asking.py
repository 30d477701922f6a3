"""Asks the scripted tool server over real HTTP, in either era."""

from typing import Any

import msgspec

from ringfence.protocols import sse
from ringfence.transport.client import Pool
from ringfence.transport.http import Origin

Json = dict[str, Any]
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
}
SILENT: Json = {"io.modelcontextprotocol/clientCapabilities": {}}
"""A client that can show its user nothing."""
_NAMES = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}


class Asking:
    """A client of one server; `session` is set by a legacy handshake."""

    def __init__(self, pool: Pool, url: str, *own: tuple[bytes, bytes]) -> None:
        self._pool = pool
        port, _, path = url.rpartition(":")[2].partition("/")
        self._origin = Origin(scheme="http", host="127.0.0.1", port=int(port))
        self._target = f"/{path}".encode()
        self._own = own
        self.session = b""

    async def send(
        self, method: bytes, headers: list[tuple[bytes, bytes]], document: Json | None
    ) -> tuple[int, dict[bytes, bytes], bytes]:
        body = b"" if document is None else msgspec.json.encode(document)
        return await self.send_raw(method, headers, body)

    async def send_raw(
        self, method: bytes, headers: list[tuple[bytes, bytes]], body: bytes
    ) -> tuple[int, dict[bytes, bytes], bytes]:
        answer = await self._pool.request(
            self._origin,
            method,
            self._target,
            [*headers, *self._own],
            body,
            connect_timeout_s=60,
            idle_timeout_s=20,
        )
        return answer.status, dict(answer.headers), await answer.read(1 << 20)

    async def legacy(self, method: str, params: Json | None = None, number: object = 1) -> Json:
        document = {"jsonrpc": "2.0", "id": number, "method": method, "params": params or {}}
        headers = [(b"mcp-session-id", self.session)] if self.session else []
        status, found, body = await self.send(b"POST", headers, document)
        self.session = found.get(b"mcp-session-id", self.session)
        return {"status": status, **last(body)}

    async def begin(self, **capabilities: object) -> Json:
        params = {"protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": {}}
        return await self.legacy("initialize", params)

    async def modern(self, method: str, **params: object) -> Json:
        meta = params.pop("meta", {})
        asked = {"_meta": {**META, **(meta if isinstance(meta, dict) else {})}, **params}
        document = {"jsonrpc": "2.0", "id": 7, "method": method, "params": asked}
        headers = [(b"mcp-protocol-version", b"2026-07-28"), (b"mcp-method", method.encode())]
        if method in _NAMES:
            headers.append((b"mcp-name", str(params[_NAMES[method]]).encode()))
        status, _, body = await self.send(b"POST", headers, document)
        return {"status": status, **last(body)}


def messages(body: bytes) -> list[Json]:
    """Every message of an answer, whatever its form."""
    if body.startswith(b"{"):
        return [msgspec.json.decode(body)]
    datas = [sse.data_of(event) for event in sse.Splitter().feed(body)]
    return [msgspec.json.decode(data) for data in datas if data]


def last(body: bytes) -> Json:
    found = messages(body)
    return found[-1] if found else {}

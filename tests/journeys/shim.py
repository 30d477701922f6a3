"""Stands between a client that knows nothing of Ringfence and a plane: adds the agent's token.

With a server's name it also maps names, so that a client of the merged view sees that one server:
`x` goes in as `server__x`, and of what is listed only that server's entries come back, under their
own names. Nothing else is changed, so that what is measured through it is the gateway.
"""

import asyncio
from typing import Any, final

import msgspec

from ringfence.protocols import sse
from ringfence.transport.client import Pool
from ringfence.transport.http import Origin, Request, Response, UpstreamResponse

_LISTS = ("tools", "prompts")
_LIMIT = 64 * 1024 * 1024


@final
class Shim:
    """A handler for `transport.server`."""

    def __init__(self, pool: Pool, port: int, path: str, token: str, server: str = "") -> None:
        """Requests go to `path` on that port of this machine."""
        self._pool = pool
        self._origin = Origin(scheme="http", host="127.0.0.1", port=port)
        self._path = path.encode()
        self._token = token
        self._prefix = f"{server}__" if server else ""

    async def handle(self, request: Request, response: Response) -> None:
        """Pass one request on, and its answer back."""
        body = await request.read(_LIMIT)
        headers = [each for each in request.headers if each[0] != b"host"]
        if self._prefix and body:
            body, headers = self._inward(body, headers)
        headers.append((b"authorization", f"Bearer {self._token}".encode()))
        upstream = await self._pool.request(
            self._origin,
            request.method,
            self._path,
            headers,
            body,
            connect_timeout_s=5,
            idle_timeout_s=600,
        )
        await _Back(self, upstream, response).over

    def _inward(
        self, body: bytes, headers: list[tuple[bytes, bytes]]
    ) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        document = msgspec.json.decode(body)
        params = document.get("params") or {}
        named = [params] if document.get("method") in {"tools/call", "prompts/get"} else []
        if isinstance(params.get("ref"), dict) and "name" in params["ref"]:
            named.append(params["ref"])
        for each in named:
            if isinstance(each.get("name"), str):
                each["name"] = self._prefix + each["name"]
        if document.get("method") in {"tools/call", "prompts/get"}:
            prefix = self._prefix.encode()
            headers = [(k, prefix + v.strip() if k == b"mcp-name" else v) for k, v in headers]
        return msgspec.json.encode(document) if named else body, headers

    def outward(self, raw: bytes) -> bytes:
        """A message as the client of one server would see it."""
        if not self._prefix or b'"result"' not in raw:
            return raw
        document: dict[str, Any] = msgspec.json.decode(raw)
        result = document.get("result") or {}
        found = [key for key in _LISTS if isinstance(result.get(key), list)]
        for key in found:
            result[key] = [
                {**each, "name": each["name"].removeprefix(self._prefix)}
                for each in result[key]
                if each["name"].startswith(self._prefix)
            ]
        return msgspec.json.encode(document) if found else raw


@final
class _Back:
    """A `transport.http.Sink`: an answer on its way back."""

    def __init__(self, shim: Shim, upstream: UpstreamResponse, response: Response) -> None:
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._shim = shim
        self._upstream = upstream
        self._response = response
        kinds = [value for name, value in upstream.headers if name == b"content-type"]
        self._splitter = sse.Splitter() if kinds and b"event-stream" in kinds[0] else None
        self._parts: list[bytes] = []
        if self._splitter is not None:
            response.start(upstream.status, upstream.headers)
        response.on_disconnect(self._left)
        upstream.pipe(self)

    def data(self, chunk: bytes) -> None:
        if self._splitter is None:
            self._parts.append(chunk)
            return
        for event in self._splitter.feed(chunk):
            data = sse.data_of(event)
            mapped = self._shim.outward(data) if data else data
            self._response.write(event if mapped == data else sse.write(mapped or b"", b"message"))

    def end(self) -> None:
        self._done()
        if self._splitter is not None:
            self._response.end()
            return
        body = b"".join(self._parts)
        body = self._shim.outward(body) if body.startswith(b"{") else body
        self._response.send(self._upstream.status, self._upstream.headers, body)

    def failed(self, error: Exception) -> None:
        del error
        self._response.abort()
        self._done()

    def _left(self) -> None:
        self._upstream.close()
        self._done()

    def _done(self) -> None:
        if not self.over.done():
            self.over.set_result(None)

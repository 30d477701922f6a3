"""A legacy client that reads streams as they come, and answers questions."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import msgspec
from tests.gateways.tool.world import Json, World
from tests.testing.tools.asking import META

from ringfence.protocols import sse
from ringfence.transport.http import Origin, UpstreamResponse


class Stream:
    """A `transport.http.Sink` that gives messages."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[Json | None] = asyncio.Queue()
        self.marks: list[sse.Mark] = []
        self._splitter = sse.Splitter()
        self._plain = b""

    def data(self, chunk: bytes) -> None:
        if chunk.startswith(b"{") or self._plain:
            self._plain += chunk
            return
        for event in self._splitter.feed(chunk):
            mark = sse.mark(event)
            if mark.id:
                self.marks.append(mark)
            found = sse.data_of(event)
            if found:
                self.messages.put_nowait(msgspec.json.decode(found))

    def end(self) -> None:
        if self._plain:
            self.messages.put_nowait(msgspec.json.decode(self._plain))
        self.messages.put_nowait(None)

    def failed(self, error: Exception) -> None:
        del error
        self.messages.put_nowait(None)

    async def next(self) -> Json | None:
        return await asyncio.wait_for(self.messages.get(), 60)

    async def rest(self) -> list[Json]:
        found = []
        while (message := await self.next()) is not None:
            found.append(message)
        return found


class Client:
    """One client on a world's door. With `session` it is a legacy one."""

    def __init__(self, world: World, path: str = "/mcp/crm") -> None:
        self._world = world
        self._path = path
        self.session = b""

    async def begin(self, **capabilities: object) -> Json:
        asking = self._world.client(self._path)
        begun = await asking.begin(**capabilities)
        self.session = asking.session
        return begun

    @asynccontextmanager
    async def open(
        self, method: str, params: Json | None = None, *, verb: bytes = b"POST", last: bytes = b""
    ) -> AsyncIterator[tuple[UpstreamResponse, Stream]]:
        """Send a request of this client's era and read its answer as it comes."""
        headers = [(b"authorization", b"Bearer rf_agt_triage")]
        given = dict(params or {})
        number: object = 5
        if self.session:
            headers.append((b"mcp-session-id", self.session))
            if last:
                headers.append((b"last-event-id", last))
        else:
            number = "m-5"
            own = given.get("_meta")
            given["_meta"] = {**META, **(own if isinstance(own, Mapping) else {})}
            headers += [(b"mcp-protocol-version", b"2026-07-28"), (b"mcp-method", method.encode())]
            name = given.get("uri" if method == "resources/read" else "name")
            if name is not None:
                headers.append((b"mcp-name", str(name).encode()))
        document = {"jsonrpc": "2.0", "id": number, "method": method, "params": given}
        body = msgspec.json.encode(document) if verb == b"POST" else b""
        host, _, port = self._world.url.removeprefix("http://").partition(":")
        answer = await self._world.pool.request(
            Origin(scheme="http", host=host, port=int(port)),
            verb,
            self._path.encode(),
            headers,
            body,
            connect_timeout_s=60,
            idle_timeout_s=60,
        )
        stream = Stream()
        answer.pipe(stream)
        try:
            yield answer, stream
        finally:
            answer.close()

    async def ask(self, method: str, params: Json | None = None) -> list[Json]:
        """Every message of an answer."""
        async with self.open(method, params) as (_, stream):
            return await stream.rest()

    async def say(self, message: Json) -> int:
        """Send a notification or an answer."""
        asking = self._world.client(self._path)
        headers = [(b"mcp-session-id", self.session)]
        status, _, _ = await asking.send(b"POST", headers, {"jsonrpc": "2.0", **message})
        return status

    async def answering(self, method: str, params: Json, answer: Json) -> list[Json]:
        """The same, giving this answer to whatever the server asks meanwhile."""
        found = []
        async with self.open(method, params) as (_, stream):
            while (message := await stream.next()) is not None:
                found.append(message)
                if "method" in message and "id" in message:
                    assert await self.say({"id": message["id"], "result": answer}) == 202
        return found

    async def close(self) -> None:
        """End the session."""
        asking = self._world.client(self._path)
        status, _, _ = await asking.send(b"DELETE", [(b"mcp-session-id", self.session)], None)
        assert status == 200

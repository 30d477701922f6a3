"""The scripted tool server over streamable HTTP: `/mcp`, and `/_scripted` to watch and steer."""

import asyncio
import uuid
from collections.abc import Callable, Sequence
from typing import Final, final

import msgspec

from ringfence.protocols import sse
from ringfence.testing.tools import behaviour
from ringfence.testing.tools.behaviour import FaultError
from ringfence.testing.tools.dialogue import Dialogue, Offer, RpcError
from ringfence.testing.tools.plan import LEGACY, Json
from ringfence.transport.http import Headers, Request, Response

_JSON: Final = (b"content-type", b"application/json")
_STREAM: Final = ((b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache"))
_LIMIT_BYTES: Final = 16 * 1024 * 1024
_SUBSCRIPTION: Final = "io.modelcontextprotocol/subscriptionId"
_WANTED: Final = {
    "notifications/tools/list_changed": "toolsListChanged",
    "notifications/prompts/list_changed": "promptsListChanged",
    "notifications/resources/list_changed": "resourcesListChanged",
}


@final
class WebTools:
    """Answers like an MCP server; `handle` is the handler for `transport.server`."""

    def __init__(self, offer: Offer) -> None:
        """No session yet."""
        self.offer = offer
        self.sessions: dict[str, Dialogue] = {}
        self._streams: set[Response] = set()

    async def handle(self, request: Request, response: Response) -> None:
        """Answer one request."""
        path = request.path.decode("latin-1")
        if path.startswith("/_scripted/"):
            self._control(request.method, path, response)
        elif self._is_stranger(request):
            response.send(401, [(b"www-authenticate", b"Bearer")], b"")
        elif request.method == b"POST":
            await self._post(request, response)
        elif request.method == b"GET":
            await self._listen(request, response)
        elif request.method == b"DELETE":
            known = self.sessions.pop(_session(request), None)
            response.send(200 if known else 404, (), b"")
        else:
            response.send(405, ((b"allow", b"GET, POST, DELETE"),), b"")

    def end_streams(self) -> None:
        """End every stream that would last, as a server does that starts again."""
        for response in tuple(self._streams):
            response.end()

    def _is_stranger(self, request: Request) -> bool:
        token = self.offer.plan.token
        return bool(token) and request.header(b"authorization") != f"Bearer {token}".encode()

    def _control(self, method: bytes, path: str, response: Response) -> None:
        journal = self.offer.journal
        match method, path:
            case b"GET", "/_scripted/calls":
                _send(response, 200, {"calls": journal.calls, "cancelled": journal.cancelled})
            case b"GET", "/_scripted/requests":
                _send(response, 200, {"requests": journal.requests})
            case b"DELETE", "/_scripted/sessions":  # as if the server had been started again
                self.sessions.clear()
                _send(response, 200, {})
            case b"POST", "/_scripted/change":
                self.offer.has_extra = not self.offer.has_extra
                self.offer.announce("notifications/tools/list_changed", {})
                _send(response, 200, {})
            case _:
                _send(response, 404, {})

    async def _post(self, request: Request, response: Response) -> None:
        message = msgspec.json.decode(await request.read(_LIMIT_BYTES))
        number = message.get("id")
        try:
            dialogue = self._dialogue(request, message)
            if "method" not in message or number is None:
                dialogue.take(message)
                response.send(202, (), b"")
                return
            if dialogue.is_modern and message["method"] == "subscriptions/listen":
                await self._subscribe(message, response)
                return
            await _Exchange(self, dialogue, message, response).run()
        except RpcError as error:
            if not response.is_started:
                document = {"jsonrpc": "2.0", "id": number, "error": error.error}
                _send(response, error.status, document)

    def _dialogue(self, request: Request, message: Json) -> Dialogue:
        if _is_modern(request) and self.offer.plan.eras == "legacy":  # as older servers say it
            raise RpcError(-32000, "Bad Request: unsupported protocol version", status=400)
        if _is_modern(request) or self.offer.plan.eras == "modern":
            _check_head(request, message)
            _check_params(request, message, self.offer.plan.extra)
            return Dialogue(self.offer, "", is_modern=True)
        if message.get("method") == "initialize":
            return Dialogue(self.offer, uuid.uuid4().hex, is_modern=False)
        known = self.sessions.get(_session(request))
        if known is None:
            raise RpcError(-32001, "session not found", status=404)
        return known

    async def _listen(self, request: Request, response: Response) -> None:
        dialogue = self.sessions.get(_session(request))
        if dialogue is None:
            response.send(404, (), b"")
            return
        response.start(200, _STREAM)

        def announced(method: str, params: Json) -> None:
            if method != "notifications/resources/updated" or params["uri"] in dialogue.subscribed:
                _write(response, {"jsonrpc": "2.0", "method": method, "params": params})

        await self._until_gone(response, announced)

    async def _subscribe(self, message: Json, response: Response) -> None:
        params = message.get("params") or {}
        wanted = params.get("notifications") or {}
        tag = {"_meta": {_SUBSCRIPTION: message["id"]}}
        response.start(200, _STREAM)
        method = "notifications/subscriptions/acknowledged"
        params = {"notifications": wanted, **tag}
        _write(response, {"jsonrpc": "2.0", "method": method, "params": params})

        def announced(method: str, params: Json) -> None:
            uris = wanted.get("resourceSubscriptions") or []
            if wanted.get(_WANTED.get(method, "")) or params.get("uri") in uris:
                _write(response, {"jsonrpc": "2.0", "method": method, "params": {**params, **tag}})

        await self._until_gone(response, announced)

    async def _until_gone(self, response: Response, announced: Callable[[str, Json], None]) -> None:
        gone = asyncio.Event()
        response.on_disconnect(gone.set)
        self.offer.listeners.add(announced)
        self._streams.add(response)
        try:
            await gone.wait()
        finally:
            self._streams.discard(response)
            self.offer.listeners.discard(announced)


@final
class _Exchange:
    """One request and its answer: a document, or a stream if there is more to say."""

    def __init__(
        self, web: WebTools, dialogue: Dialogue, message: Json, response: Response
    ) -> None:
        self._web = web
        self._dialogue = dialogue
        self._message = message
        self._response = response

    async def run(self) -> None:
        dialogue, number = self._dialogue, self._message["id"]
        task = asyncio.ensure_future(dialogue.answer(self._message, self._send))
        dialogue.running[number] = task
        if dialogue.is_modern:  # leaving is giving up
            self._response.on_disconnect(lambda: _give_up(task))
        try:
            document = await task
        except asyncio.CancelledError:
            self._web.offer.journal.cancelled.append(number)
            self._end()
            return
        except FaultError as fault:
            self._carry_out(fault.how)
            return
        except RpcError as error:
            document = {"jsonrpc": "2.0", "id": number, "error": error.error}
            if dialogue.is_modern and error.status != 200 and not self._response.is_started:  # noqa: PLR2004 (a status)
                _send(self._response, error.status, document)
                return
        finally:
            dialogue.running.pop(number, None)
        self._answer(document)

    def _answer(self, document: Json) -> None:
        response, dialogue = self._response, self._dialogue
        own: list[tuple[bytes, bytes]] = []
        if self._message["method"] == "initialize":
            self._web.sessions[dialogue.session] = dialogue
            own.append((b"mcp-session-id", dialogue.session.encode()))
        if response.is_started or self._web.offer.plan.as_stream:
            if not response.is_started:
                response.start(200, [*_STREAM, *own])
            _write(response, document)
            self._end()
        elif not response.is_disconnected:
            response.send(200, [_JSON, *own], msgspec.json.encode(document))

    def _end(self) -> None:
        if self._response.is_disconnected:
            return
        if not self._response.is_started:
            self._response.start(200, _STREAM)
        self._response.end()

    async def _send(self, message: Json) -> None:
        if not self._response.is_started:
            self._response.start(200, _STREAM)
        _write(self._response, message)

    def _carry_out(self, how: str) -> None:
        response = self._response
        number = self._message["id"]
        match how:
            case "drop":
                response.abort()
            case "malformed":
                response.send(200, [_JSON], b'{"jsonrpc":"2.0","id":')
            case "empty":
                response.send(200, [_JSON], b"")
            case "rpc" | "visit":
                error = behaviour.ERRORS[how]
                _send(response, 200, {"jsonrpc": "2.0", "id": number, "error": error})
            case _:
                retry: Headers = ((b"retry-after", b"1"),)
                response.send(int(how), retry, b"ordered")


def _give_up(task: asyncio.Future[Json]) -> None:
    task.cancel()


def _is_modern(request: Request) -> bool:
    version = request.header(b"mcp-protocol-version")
    return version is not None and version.decode("latin-1") not in LEGACY


def _check_head(request: Request, message: Json) -> None:
    """The rules of the modern era for what the head repeats of the body."""
    method, params = message.get("method"), message.get("params") or {}
    said = request.header(b"mcp-method")
    if said is None or said.decode("latin-1") != method:
        raise RpcError(-32020, "Mcp-Method does not match", status=400)
    version = (params.get("_meta") or {}).get("io.modelcontextprotocol/protocolVersion")
    stated = request.header(b"mcp-protocol-version") or b""
    if version is not None and version != stated.decode("latin-1"):
        raise RpcError(-32020, "MCP-Protocol-Version does not match", status=400)
    if method in {"tools/call", "prompts/get", "resources/read"}:
        named = params.get("uri" if method == "resources/read" else "name")
        if (request.header(b"mcp-name") or b"").decode("latin-1") != named:
            raise RpcError(-32020, "Mcp-Name does not match", status=400)


def _check_params(request: Request, message: Json, extra: Sequence[Json]) -> None:
    """Parameters that a tool's schema wants repeated stand in the head as in the body."""
    params = message.get("params") or {}
    tool = next((each for each in extra if each["name"] == params.get("name")), {})
    properties = tool.get("inputSchema", {}).get("properties", {})
    for name, schema in properties.items():
        header = schema.get("x-mcp-header")
        given = (params.get("arguments") or {}).get(name)
        if header is None or given is None:
            continue
        said = request.header(b"mcp-param-" + header.lower().encode())
        if said is None or said.decode("latin-1") != str(given):
            raise RpcError(-32020, f"Mcp-Param-{header} does not match", status=400)


def _session(request: Request) -> str:
    return (request.header(b"mcp-session-id") or b"").decode("latin-1")


def _send(response: Response, status: int, document: object) -> None:
    response.send(status, [_JSON], msgspec.json.encode(document))


def _write(response: Response, message: Json) -> None:
    if not response.is_disconnected:
        response.write(sse.write(msgspec.json.encode(message), b"message"))

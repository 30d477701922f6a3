"""A tool server behind an authorization server, both at one address and strict."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec

from ringfence.protocols.oauth import challenge
from ringfence.testing.tools.dialogue import Offer
from ringfence.testing.tools.plan import Plan
from ringfence.testing.tools.web import WebTools
from ringfence.transport.http import Request, Response
from ringfence.transport.server import Server

JSON = (b"content-type", b"application/json")
RESOURCE = b"/.well-known/oauth-protected-resource/mcp"


@dataclass(slots=True)
class Guarded:
    """What may be ordered: `lasts_s` of tokens, and what its metadata say besides or instead."""

    plan: Plan = field(default_factory=Plan)
    lasts_s: int = 3600
    resource: dict[str, Any] = field(default_factory=dict)
    issuer: dict[str, Any] = field(default_factory=dict)
    url: str = ""
    valid: set[str] = field(default_factory=set)
    """Access tokens that are taken."""
    refresh: set[str] = field(default_factory=set)
    """What may be used, once, to get another."""
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    """Every request for a token."""
    registered: list[dict[str, Any]] = field(default_factory=list)
    web: WebTools = field(init=False)
    _count: int = 0

    def __post_init__(self) -> None:
        self.web = WebTools(Offer(self.plan))

    def handle(self, request: Request, response: Response) -> Coroutine[Any, Any, None]:
        """Answer one request."""
        return self._handle(request, response)

    async def _handle(self, request: Request, response: Response) -> None:
        path = request.path
        if path == b"/mcp":
            given = (request.header(b"authorization") or b"").decode().removeprefix("Bearer ")
            if given in self.valid:
                going = self.web.handle(request, response)
                if going is not None:
                    await going
                return
            where = f'Bearer resource_metadata="{self.url}{RESOURCE.decode()}"'.encode()
            response.send(401, [(b"www-authenticate", where)], b"")
        elif path == RESOURCE:
            self._send(response, 200, self._resource() | self.resource)
        elif path == b"/.well-known/oauth-authorization-server":
            self._send(response, 200, self._issuer() | self.issuer)
        elif path == b"/register":
            self.registered.append(msgspec.json.decode(await request.read(10_000)))
            self._send(response, 201, {"client_id": "dynamic-1"})
        elif path == b"/token":
            form = parse_qs((await request.read(10_000)).decode())
            self._token(response, {key: values[0] for key, values in form.items()})
        else:
            response.send(404, (), b"")

    def say_yes(self, url: str) -> str:
        """A person says yes at this address; gives where the browser goes then."""
        asked = {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}
        code = f"code-{len(self.codes)}"
        self.codes[code] = asked
        back = {"code": code, "state": asked["state"], "iss": self.url}
        return f"{asked['redirect_uri']}?{urlencode(back)}"

    def _token(self, response: Response, form: dict[str, str]) -> None:
        self.asked.append(form)
        if form.get("resource") != f"{self.url}/mcp":
            self._send(response, 400, {"error": "invalid_target"})
        elif form["grant_type"] == "client_credentials":
            self._give(response)
        elif form["grant_type"] == "refresh_token":
            if form["refresh_token"] in self.refresh:
                self.refresh.remove(form["refresh_token"])
                self._give(response)
            else:
                self._send(response, 400, {"error": "invalid_grant"})
        else:
            granted = self.codes.pop(form["code"], None)
            is_good = (
                granted is not None
                and challenge(form["code_verifier"]) == granted["code_challenge"]
                and form["redirect_uri"] == granted["redirect_uri"]
                and form["client_id"] == granted["client_id"]
            )
            if is_good:
                self._give(response)
            else:
                self._send(response, 400, {"error": "invalid_grant"})

    def _give(self, response: Response) -> None:
        self._count += 1
        access, refresh = f"access-{self._count}", f"refresh-{self._count}"
        self.valid.add(access)
        self.refresh.add(refresh)
        told = {"access_token": access, "refresh_token": refresh, "expires_in": self.lasts_s}
        self._send(response, 200, {"token_type": "Bearer", **told})

    def _resource(self) -> dict[str, Any]:
        return {
            "resource": f"{self.url}/mcp",
            "authorization_servers": [self.url],
            "scopes_supported": ["tools"],
        }

    def _issuer(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "registration_endpoint": f"{self.url}/register",
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }

    @staticmethod
    def _send(response: Response, status: int, document: object) -> None:
        response.send(status, [JSON], msgspec.json.encode(document))


@asynccontextmanager
async def guarded(**more: Any) -> AsyncIterator[Guarded]:  # noqa: ANN401 (fields of it)
    """Serve while the context lasts."""
    made = Guarded(**more)
    server = Server(made.handle)
    made.url = f"http://127.0.0.1:{await server.listen('127.0.0.1', 0)}"
    try:
        yield made
    finally:
        await server.close()


async def browse(address: str) -> None:
    """What a browser does with an address on this machine."""
    parts = urlsplit(address)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    target = f"{parts.path}?{parts.query}"
    head = f"GET {target} HTTP/1.1\r\nhost: {parts.netloc}\r\nconnection: close\r\n\r\n"
    writer.write(head.encode())
    await writer.drain()
    await asyncio.wait_for(reader.read(-1), 60)
    writer.close()

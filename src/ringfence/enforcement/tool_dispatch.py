"""Reaches tool servers: the only place where their credentials are read."""

import asyncio
import re
from collections.abc import Mapping
from typing import Final, final
from urllib.parse import urlsplit

from ringfence.domain.error import UnavailableError
from ringfence.domain.tool import ToolServer
from ringfence.enforcement.credential import CredentialScan
from ringfence.enforcement.oauth import ClientCredentials, Token
from ringfence.enforcement.route import origin_of
from ringfence.enforcement.tool_grant import Grants
from ringfence.stores.secret import Secrets
from ringfence.transport.http import Client, Exchange, Headers, Prepared, Taker

_TOKEN: Final = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
"""References as `config.variable` knows them; they were checked there."""
_NOTHING: Final = CredentialScan(b"")
_CHILD_VARIABLES: Final = ("PATH", "HOME", "LANG", "TZ", "TMPDIR")
"""What a command needs to run at all; nothing else of the plane's own environment reaches it."""


@final
class ToolDispatch:
    """The head of a request to a tool server, with its credential; shows nothing of it (I5)."""

    __slots__ = ("generation", "prepared")

    def __init__(self, prepared: Prepared, generation: object) -> None:
        """Made by `ToolDispatcher.prepare` alone."""
        self.prepared = prepared
        self.generation = generation


class ToolDispatcher:
    """Adds a server's own credential to what the door prepared, and sends it.

    INVARIANT: nothing that an agent sends is ever used as a server's credential.
    """

    def __init__(
        self,
        client: Client,
        secrets: Secrets,
        environment: Mapping[str, str],
        granted: Grants | None = None,
    ) -> None:
        """Use one pool of connections; secrets are replaced whole at a reload.

        Without `granted` no person can have granted anything.
        """
        self._granted = granted
        self._refused: dict[ToolServer, str] = {}
        """Tokens that their server did not take."""
        self._client = client
        self._secrets = secrets
        self._environment = environment
        self._scans: dict[str, CredentialScan] = {}
        self._tokens: dict[ToolServer, Token] = {}
        self._grants = ClientCredentials(client)
        self.generation = object()
        """Changes whenever a credential may have changed."""

    def replace_secrets(self, secrets: Secrets) -> None:
        """Use these from now on."""
        self._secrets = secrets
        self._tokens.clear()
        self.changed()

    def changed(self) -> None:
        """A credential is another one now."""
        self._scans.clear()
        self.generation = object()

    def prepare(
        self, server: ToolServer, method: bytes, headers: Headers, idle_timeout_s: float
    ) -> ToolDispatch:
        """Write the head of a request to a server's URL. `headers` hold no credential."""
        url = server.url or ""
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        prepared = self._client.prepare(
            origin_of(url),
            method,
            target.encode("ascii"),
            [*headers, *self._credential(server)],
            connect_timeout_s=server.connect_timeout_s,
            idle_timeout_s=idle_timeout_s,
        )
        return ToolDispatch(prepared, self.generation)

    def is_current(self, dispatch: ToolDispatch) -> bool:
        """Whether what was prepared carries the credential that is in force."""
        return dispatch.generation is self.generation

    def send(self, dispatch: ToolDispatch, body: bytes, taker: Taker) -> Exchange:
        """Send what was prepared; `taker` is told of the answer, as `Dispatcher.send` tells."""
        return self._client.send(dispatch.prepared, body, taker)

    def environment(self, server: ToolServer) -> dict[str, str]:
        """The whole environment of a server's process: clean, and what its `env` says."""
        own = {key: self._environment[key] for key in _CHILD_VARIABLES if key in self._environment}
        return own | {key: self._filled(text) for key, text in server.environment}

    def scan(self, server: ToolServer) -> CredentialScan:
        """Finds the credential that a server is sent now in what it answers (I5)."""
        if server.credential is None and server.oauth is None:
            return _NOTHING
        scan = self._scans.get(server.name)
        if scan is None:
            scan = self._scans[server.name] = CredentialScan(self._value(server).encode())
        return scan

    def hidden(self, server: ToolServer) -> list[bytes]:
        """The secrets that a server's process was given, for scrubbing what it logs."""
        names = [name for _, text in server.environment for name in _TOKEN.findall(text) if name]
        return [self._secrets.get(name).reveal().encode() for name in names]

    def is_authorised(self, server: ToolServer) -> bool:
        """Whether a request may be sent at once: nothing has to be got for it first."""
        if server.oauth is None:
            return True
        token = self._tokens.get(server)
        return token is not None and asyncio.get_running_loop().time() < token.until_s

    async def authorise(self, server: ToolServer) -> None:
        """Get what a request needs first. Raises UnavailableError `oauth_failed`."""
        if server.oauth is None or self.is_authorised(server):
            return
        if server.oauth.is_by_person:
            self._tokens[server] = await self._from_person(server)
            self.changed()
        else:
            secret = self._secrets.get(server.oauth.secret).reveal()
            self._tokens[server] = await self._grants.token(server, secret)
            self.changed()

    async def _from_person(self, server: ToolServer) -> Token:
        if self._granted is None:
            raise UnavailableError("not_authorised", "no person can grant anything here")
        refused = self._refused.pop(server, "")
        found = await self._granted.granted(server.granted_to, server.name, refused)
        until_s = asyncio.get_running_loop().time() + found.lasts_s
        return Token(value=found.value, until_s=until_s)

    def unauthorised(self, server: ToolServer) -> bool:
        """A server refuses the token that it was sent; whether it is worth getting another."""
        token = self._tokens.pop(server, None)
        if token is not None and server.oauth is not None and server.oauth.is_by_person:
            self._refused[server] = token.value
        return token is not None

    def forget_grant(self, organisation: str, server: str) -> None:
        """What a person had granted for a server is not used any more."""
        for known in [*self._tokens, *self._refused]:
            if (known.granted_to, known.name) == (organisation, server):
                self._tokens.pop(known, None)
                self._refused.pop(known, None)
        self.changed()

    def _filled(self, text: str) -> str:
        def value(match: re.Match[str]) -> str:
            return self._secrets.get(match[1]).reveal() if match[1] else "${"

        return _TOKEN.sub(value, text)

    def _value(self, server: ToolServer) -> str:
        if server.oauth is not None:
            token = self._tokens.get(server)
            return "" if token is None else token.value
        return self._secrets.get(server.credential).reveal() if server.credential else ""

    def _credential(self, server: ToolServer) -> Headers:
        value = self._value(server)
        return ((b"authorization", f"Bearer {value}".encode()),) if value else ()

"""Reaches tool servers: the only place where their credentials are read."""

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Final, final
from urllib.parse import urlsplit

from ringfence.domain.error import UnavailableError
from ringfence.domain.tool import ToolServer
from ringfence.domain.verdict import Code
from ringfence.enforcement.oauth import ClientCredentials, Token
from ringfence.enforcement.route import origin_of
from ringfence.enforcement.tool_grant import Grants
from ringfence.stores.secret import Secrets
from ringfence.transport.http import Client, Exchange, Headers, Prepared, Taker

_TOKEN: Final = re.compile(r"\$\$\{|\$\{([A-Za-z0-9_][A-Za-z0-9._/-]*)\}")
"""References to names in `Secrets`, as `config` has made and checked them."""
_CHILD_VARIABLES: Final = ("PATH", "HOME", "LANG", "TZ", "TMPDIR")
"""What a command needs to run at all; nothing else of the plane's own environment reaches it."""


def _nobody(_server: str, _token: str) -> None:
    """Nobody is told."""


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
        got: Callable[[str, str], None] = _nobody,
    ) -> None:
        """Use one pool of connections; secrets are replaced whole at a reload.

        Without `granted` no person can have granted anything. `got` is told of each token, and
        the name of its server.
        """
        self.token_refused: Callable[[str, str], None] = _nobody
        """Told of a token, by its name in `secrets`, that a server has not taken, and which."""
        self._got = got
        self._granted = granted
        self._refused: dict[ToolServer, str] = {}
        """Tokens that their server did not take."""
        self._client = client
        self._secrets = secrets
        self._environment = environment
        self._tokens: dict[ToolServer, Token] = {}
        self._grants = ClientCredentials(client)
        self.generation = object()
        """Changes whenever a credential may have changed."""

    def replace_secrets(self, secrets: Secrets) -> None:
        """Use these from now on."""
        self._secrets = secrets
        self._tokens.clear()
        self._grants.clear()
        self.changed()

    def changed(self) -> None:
        """A credential is another one now."""
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
        """The whole environment of a server's process: clean, and what its `env` says.

        Raises UnavailableError `provider_unavailable` if a secret that it names has no value now.
        """
        own = {key: self._environment[key] for key in _CHILD_VARIABLES if key in self._environment}
        return own | given(server, self._secrets)

    def hidden(self, server: ToolServer) -> list[bytes]:
        """The secrets that a server's process was given, for scrubbing what it logs."""
        found = map(self._secrets.find, sorted(_in_environment(server)))
        return [secret.reveal().encode() for secret in found if secret is not None]

    def is_authorised(self, server: ToolServer) -> bool:
        """Whether a request may be sent at once: nothing has to be got for it first."""
        if server.oauth is None:
            return server.credential is None or self._secrets.find(server.credential) is not None
        token = self._tokens.get(server)
        return token is not None and asyncio.get_running_loop().time() < token.until_s

    async def authorise(self, server: ToolServer) -> None:
        """Get what a request needs first.

        Raises UnavailableError `oauth_failed`, or `provider_unavailable` without a credential.
        """
        if self.is_authorised(server):
            return
        if server.oauth is None:
            self._of(server.credential or "")
            return
        if server.oauth.is_by_person:
            token = await self._from_person(server)
        else:
            token = await self._grants.token(server, self._of(server.oauth.secret))
        self._got(f"{server.granted_to}/{server.name}", token.value)
        self._tokens[server] = token
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
        if server.oauth is None:
            self.token_refused(server.credential or "", server.name)
            return False
        token = self._tokens.pop(server, None)
        if token is not None and server.oauth.is_by_person:
            self._refused[server] = token.value
        return token is not None

    def forget_grant(self, organisation: str, server: str) -> None:
        """What a person had granted for a server is not used any more."""
        for known in [*self._tokens, *self._refused]:
            if (known.granted_to, known.name) == (organisation, server):
                self._tokens.pop(known, None)
                self._refused.pop(known, None)
        self.changed()

    def _value(self, server: ToolServer) -> str:
        if server.oauth is not None:
            token = self._tokens.get(server)
            return "" if token is None else token.value
        return self._of(server.credential) if server.credential else ""

    def _of(self, name: str) -> str:
        return _value_of(name, self._secrets)

    def _credential(self, server: ToolServer) -> Headers:
        value = self._value(server)
        return ((b"authorization", f"Bearer {value}".encode()),) if value else ()


def secrets_of(server: ToolServer) -> frozenset[str]:
    """The names, in `Secrets`, of all that a server needs."""
    named = (server.credential, None if server.oauth is None else server.oauth.secret)
    return frozenset(name for name in named if name) | _in_environment(server)


def _in_environment(server: ToolServer) -> frozenset[str]:
    texts = (text for _, text in server.environment)
    return frozenset(name for text in texts for name in _TOKEN.findall(text) if name)


def given(server: ToolServer, secrets: Secrets) -> dict[str, str]:
    """What the `env` of a server says, with its references replaced.

    Raises UnavailableError `provider_unavailable` if one of them has no value now.
    """

    def value(match: re.Match[str]) -> str:
        return _value_of(match[1], secrets) if match[1] else "${"

    return {key: _TOKEN.sub(value, text) for key, text in server.environment}


def _value_of(name: str, secrets: Secrets) -> str:
    """INVARIANT: nothing is sent or started with a credential that is not there."""
    secret = secrets.find(name)
    if secret is None:
        raise UnavailableError(Code.PROVIDER_UNAVAILABLE, "its credential has no value now")
    return secret.reveal()

"""Grants of people: a person lets the plane use a tool server, and the plane keeps and renews that.

One grant for each server of an organisation. It is stored encrypted; workers get access tokens
alone, and never what renews them.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol, final

import msgspec

from ringfence.domain.error import UnavailableError, UsageError
from ringfence.domain.tool import OAuthClient, ToolServer
from ringfence.enforcement.authorization_server import AuthorizationServers
from ringfence.enforcement.oauth import Token, TokenOrder, ask
from ringfence.protocols import oauth
from ringfence.protocols.oauth import Issuer
from ringfence.stores.secret import StoredSecrets
from ringfence.transport.clock import Clock
from ringfence.transport.http import Requester

SPACE: Final = "tool-grant"
PENDING_S: Final = 600
"""How long a person may take to say yes."""
PENDING_MOST: Final = 100
_LOOKS: Final = 5
_LOOK_S: Final = 0.2
_SECOND_US: Final = 1_000_000


class GrantedToken(msgspec.Struct, frozen=True, kw_only=True):
    """An access token, and how long it is good. INVARIANT (I5): no repr."""

    value: str
    lasts_s: float

    def __repr__(self) -> str:
        """Never the value."""
        return "GrantedToken(…)"


class Grants(Protocol):
    """Whoever has access tokens that people have granted."""

    async def granted(self, organisation: str, server: str, refused: str) -> GrantedToken:
        """A token for a server, which has not just been `refused`.

        Raises UnavailableError `oauth_failed` or `not_authorised`.
        """


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """What a person is asked: their browser goes to `url`, and comes back with `state`."""

    url: str
    state: str


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What may be told of a grant."""

    by: str
    issuer: str
    granted_us: int


class _Pending(msgspec.Struct, frozen=True, kw_only=True):
    """A question that a person has not answered yet."""

    organisation: str
    server: str
    url: str
    issuer: Issuer
    client: str
    client_secret: str
    redirect_uri: str
    verifier: str
    until_us: int

    def __repr__(self) -> str:
        """Never the verifier."""
        return f"_Pending({self.server})"


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A grant as it is stored. Times are UTC microseconds."""

    access: str
    refresh: str
    until_us: int
    token_url: str
    client: str
    client_secret: str
    resource: str

    def __repr__(self) -> str:
        """Never a value."""
        return "_Kept(…)"


@final
class ToolGrants:
    """The grants of all organisations of one plane; used by one event loop.

    INVARIANT: a token is sent to the very URL that it was granted for, and to no other.
    """

    def __init__(  # noqa: PLR0913 (the parts that it joins)
        self,
        stored: StoredSecrets,
        client: Requester,
        clock: Clock,
        *,
        servers: Callable[[str, str], ToolServer | None],
        secret: Callable[[str], str],
        random: Callable[[], str],
    ) -> None:
        """`servers` finds a server by organisation and name, `secret` a configured credential.

        `random` makes words that nobody can guess.
        """
        self._servers = servers
        self._stored = stored
        self._client = client
        self._clock = clock
        self._authorization = AuthorizationServers(client, secret)
        self._random = random
        self._pending: dict[str, _Pending] = {}
        self._turns: dict[tuple[str, str], asyncio.Lock] = {}

    # What a person does

    async def begin(self, organisation: str, server: ToolServer, redirect_uri: str) -> Asking:
        """Find out whom to ask, and what. Raises UsageError, PeerError, UnavailableError."""
        granted, url = _by_person(server), server.url or ""
        oauth.check_redirect(redirect_uri)
        resource = await self._authorization.resource(url)
        issuer = await self._authorization.issuer(resource.authorization_servers[0], url)
        client, client_secret = await self._authorization.as_client(granted, issuer, redirect_uri)
        verifier, state = self._random(), self._random()
        now_us = self._clock.now_us()
        self._pending = {key: each for key, each in self._pending.items() if each.until_us > now_us}
        if len(self._pending) >= PENDING_MOST:
            raise UnavailableError("oauth_failed", "too many people are being asked at the moment")
        self._pending[state] = _Pending(
            organisation=organisation,
            server=server.name,
            url=url,
            issuer=issuer,
            client=client,
            client_secret=client_secret,
            redirect_uri=redirect_uri,
            verifier=verifier,
            until_us=now_us + PENDING_S * _SECOND_US,
        )
        sent = oauth.authorization_url(
            issuer,
            client=client,
            redirect_uri=redirect_uri,
            scopes=granted.scopes or resource.scopes_supported,
            state=state,
            verifier=verifier,
            resource=url,
        )
        return Asking(url=sent, state=state)

    async def finish(  # noqa: PLR0913 (what a browser brings back)
        self,
        organisation: str,
        server: ToolServer,
        *,
        state: str,
        code: str,
        issuer: str,
        actor: str,
    ) -> Standing:
        """Take what a person's browser has brought back. Raises as `begin`.

        INVARIANT: a state is good once, for the server and the organisation that it was made for.
        """
        pending = self._pending.pop(state, None)
        is_it = pending is not None and (pending.organisation, pending.server, pending.url) == (
            organisation,
            server.name,
            server.url or "",
        )
        if pending is None or not is_it or pending.until_us <= self._clock.now_us():
            raise UsageError(
                "authorization_unknown",
                "this answer belongs to no question that is open",
                help=f"begin again: `ringfence tools authorize {server.name}`",
            )
        oauth.check_issuer(pending.issuer, issuer)
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": pending.redirect_uri,
            "code_verifier": pending.verifier,
            "resource": pending.url,
        }
        token = await ask(self._client, _order(server.name, pending, form))
        kept = _Kept(
            access=token.value,
            refresh=token.refresh,
            until_us=self._until_us(token),
            token_url=pending.issuer.token_endpoint,
            client=pending.client,
            client_secret=pending.client_secret,
            resource=pending.url,
        )
        meta = {"by": actor, "issuer": pending.issuer.issuer}
        await self._keep(organisation, server.name, kept, meta, actor)
        found = await self.standing(organisation, server.name)
        if found is None:
            raise UnavailableError("oauth_failed", "the grant was not kept")
        return found

    async def standing(self, organisation: str, server: str) -> Standing | None:
        """What may be told of a server's grant; None if there is none."""
        found = await asyncio.to_thread(self._stored.find, organisation, server)
        if found is None:
            return None
        meta = found.meta
        return Standing(
            by=meta.get("by", ""), issuer=meta.get("issuer", ""), granted_us=found.changed_us
        )

    async def forget(self, organisation: str, server: str) -> bool:
        """Drop a grant; whether there was one."""
        return await asyncio.to_thread(self._stored.delete, organisation, server)

    # What a call needs

    async def granted(self, organisation: str, server: str, refused: str) -> GrantedToken:
        """See `Grants`."""
        found = self._servers(organisation, server)
        if found is None or found.oauth is None or not found.oauth.is_by_person:
            raise UnavailableError("not_authorised", f"tool server `{server}` has no grant")
        return await self._granted(organisation, found, refused)

    async def _granted(self, organisation: str, server: ToolServer, refused: str) -> GrantedToken:
        turn = self._turns.setdefault((organisation, server.name), asyncio.Lock())
        async with turn:
            kept, meta, actor = await self._known(organisation, server)
            now_us = self._clock.now_us()
            if kept.access == refused or now_us >= kept.until_us:
                kept = await self._renewed(organisation, server, kept, meta, actor)
            return GrantedToken(
                value=kept.access, lasts_s=max(0, kept.until_us - now_us) / _SECOND_US
            )

    async def _renewed(
        self,
        organisation: str,
        server: ToolServer,
        kept: _Kept,
        meta: dict[str, str],
        actor: str,
    ) -> _Kept:
        """The grant with another token. What renews it may be good once: it is kept first."""
        if not kept.refresh:
            raise _not_authorised(server, "its grant is over")
        form = {
            "grant_type": "refresh_token",
            "refresh_token": kept.refresh,
            "resource": kept.resource,
        }
        try:
            token = await ask(self._client, _order(server.name, kept, form))
        except UnavailableError:
            # Another plane on the same database may have been first, and about to keep what it got.
            for _ in range(_LOOKS):
                known, _, _ = await self._known(organisation, server)
                if known.refresh != kept.refresh:
                    return known
                await asyncio.sleep(_LOOK_S)
            raise
        fresh = msgspec.structs.replace(
            kept,
            access=token.value,
            refresh=token.refresh or kept.refresh,
            until_us=self._until_us(token),
        )
        await self._keep(organisation, server.name, fresh, meta, actor)
        return fresh

    async def _known(
        self, organisation: str, server: ToolServer
    ) -> tuple[_Kept, dict[str, str], str]:
        try:
            found = await asyncio.to_thread(self._stored.get, organisation, server.name)
        except UsageError as error:
            raise UnavailableError("oauth_failed", error.message, help=error.help) from error
        if found is None:
            raise _not_authorised(server, "nobody has granted it yet")
        secret, meta = found
        kept = msgspec.json.decode(secret.reveal(), type=_Kept)
        if kept.resource != (server.url or ""):
            raise _not_authorised(server, "it was granted for another URL")
        return kept, dict(meta), meta.get("by", "plane")

    async def _keep(
        self, organisation: str, server: str, kept: _Kept, meta: dict[str, str], actor: str
    ) -> None:
        value = msgspec.json.encode(kept).decode()

        def keep() -> None:
            self._stored.put(organisation, server, value, meta, actor=actor)

        try:
            await asyncio.to_thread(keep)
        except UsageError as error:
            raise UnavailableError("oauth_failed", error.message, help=error.help) from error

    def _until_us(self, token: Token) -> int:
        left_s = token.until_s - asyncio.get_running_loop().time()
        return self._clock.now_us() + int(left_s * _SECOND_US)


def _by_person(server: ToolServer) -> OAuthClient:
    if server.oauth is None or not server.oauth.is_by_person:
        raise UsageError(
            "authorization_unwanted",
            f"nobody has to authorise tool server `{server.name}`",
            help="write `oauth: {by: person}` for a server whose tokens a person grants",
        )
    return server.oauth


def _order(server: str, of: _Pending | _Kept, form: dict[str, str]) -> TokenOrder:
    token_url = of.issuer.token_endpoint if isinstance(of, _Pending) else of.token_url
    return TokenOrder(
        token_url=token_url,
        form=form,
        purpose=f"tool server `{server}`",
        key=f"`oauth` of the server, or authorise it again: `ringfence tools authorize {server}`",
        client=of.client,
        client_secret=of.client_secret,
    )


def _not_authorised(server: ToolServer, why: str) -> UnavailableError:
    return UnavailableError(
        "not_authorised",
        f"tool server `{server.name}` needs a person's grant: {why}",
        help=f"`ringfence tools authorize {server.name}`",
    )

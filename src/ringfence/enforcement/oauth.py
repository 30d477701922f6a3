"""Access tokens, got as this gateway itself from whoever gives them out (OAuth 2.1)."""

import asyncio
from base64 import b64encode
from collections.abc import Hashable, Mapping
from typing import Final, Generic, TypeVar, final
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from ringfence.domain.error import RingfenceError, UnavailableError
from ringfence.domain.tool import ToolServer
from ringfence.enforcement.route import origin_of
from ringfence.transport.http import Requester

Asked = TypeVar("Asked", bound=Hashable)
"""What a token is asked for."""

_ANSWER_BYTES: Final = 64 * 1024
_TIMEOUT_S: Final = 10.0
_EARLY_S: Final = 30.0
"""A token is renewed so long before it ends, so that no call meets its end."""
_UNSTATED_S: Final = 300.0
"""How long a token is used that does not say how long it is good."""
_AGAIN_S: Final = 5.0
"""After a failure nobody is asked again for so long: agents may try as often as they like, and who
gives tokens out locks a client out that comes with a wrong secret too often."""
_OK: Final = 200


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """An access token, and until when it is used (the loop's clock). INVARIANT (I5): no repr."""

    value: str
    until_s: float
    refresh: str = ""
    """What gets another one, if it can be got so."""

    def __repr__(self) -> str:
        """Never the value."""
        return "Token(…)"


class _Granted(msgspec.Struct):
    access_token: str
    expires_in: float | None = None
    refresh_token: str = ""


_granted: Final = msgspec.json.Decoder(_Granted, strict=False)


class TokenOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for, where and as whom. INVARIANT (I5): no repr shows it.

    `purpose` says in words what the token is for, `key` where it is configured. With a
    `client_secret` the client proves itself (HTTP Basic), else it at most names itself.
    """

    token_url: str
    form: Mapping[str, str]
    purpose: str
    key: str
    client: str = ""
    client_secret: str = ""

    def __repr__(self) -> str:
        """Never what it holds."""
        return f"TokenOrder({self.purpose})"


async def ask(client: Requester, order: TokenOrder) -> Token:
    """A fresh token. Raises UnavailableError `oauth_failed`; no error holds a secret."""
    parts = urlsplit(order.token_url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = [
        (b"content-type", b"application/x-www-form-urlencoded"),
        (b"accept", b"application/json"),
    ]
    form = dict(order.form)
    if order.client_secret:
        # RFC 6749 section 2.3.1: both parts are form-encoded before they are joined.
        pair = f"{quote(order.client, safe='')}:{quote(order.client_secret, safe='')}"
        headers.append((b"authorization", b"Basic " + b64encode(pair.encode())))
    elif order.client:
        form["client_id"] = order.client
    try:
        answer = await client.request(
            origin_of(order.token_url),
            b"POST",
            target.encode("ascii"),
            headers,
            urlencode(form).encode(),
            connect_timeout_s=_TIMEOUT_S,
            idle_timeout_s=_TIMEOUT_S,
        )
        body = await answer.read(_ANSWER_BYTES)
    except RingfenceError as error:
        raise _failed(order, error.message) from error
    if answer.status != _OK:
        raise _failed(order, f"it answered with status {answer.status}")
    return _read(order, body)


def _read(order: TokenOrder, body: bytes) -> Token:
    try:
        granted = _granted.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _failed(order, "its answer is no token") from None
    if not granted.access_token.isascii() or not granted.access_token.isprintable():
        raise _failed(order, "its token cannot stand in a header")
    lasts_s = _UNSTATED_S if granted.expires_in is None else granted.expires_in
    if lasts_s <= 0:
        raise _failed(order, "its token has ended already")
    now_s = asyncio.get_running_loop().time()
    return Token(
        value=granted.access_token,
        until_s=now_s + max(lasts_s - _EARLY_S, lasts_s / 2),
        refresh=granted.refresh_token,
    )


def _failed(order: TokenOrder, why: str) -> UnavailableError:
    what = f"no access token for {order.purpose}: {why}"
    return UnavailableError("oauth_failed", what, help=f"look at {order.key}")


@final
class Failures(Generic[Asked]):
    """Who could not get a token lately. Used inside one running loop."""

    def __init__(self) -> None:
        """Nobody."""
        self._known: dict[Asked, tuple[float, RingfenceError]] = {}

    def check(self, asked: Asked) -> None:
        """Raise the failure of just before again, in the place of another one."""
        until_s, error = self._known.get(asked, (0.0, None))
        if error is not None and asyncio.get_running_loop().time() < until_s:
            raise UnavailableError(error.code, error.message, help=error.help)

    def note(self, asked: Asked, error: RingfenceError) -> None:
        """It has failed now."""
        self._known[asked] = (asyncio.get_running_loop().time() + _AGAIN_S, error)

    def clear(self) -> None:
        """Secrets are others now."""
        self._known.clear()


@final
class ClientCredentials:
    """Gets tokens; who asks for the same server at the same time waits for the same answer."""

    def __init__(self, client: Requester) -> None:
        """Nothing is under way."""
        self._client = client
        self._asking: dict[ToolServer, asyncio.Task[Token]] = {}
        self._failures = Failures[ToolServer]()

    def clear(self) -> None:
        """Secrets are others now: whoever could not get a token may ask again."""
        self._failures.clear()

    async def token(self, server: ToolServer, secret: str) -> Token:
        """A fresh token. Raises UnavailableError `oauth_failed`; no error holds a secret."""
        known = self._asking.get(server)
        if known is None:
            self._failures.check(server)
            known = self._asking[server] = asyncio.create_task(self._ask(server, secret))
            known.add_done_callback(lambda _: self._asking.pop(server, None))
        return await asyncio.shield(known)

    async def _ask(self, server: ToolServer, secret: str) -> Token:
        oauth = server.oauth
        if oauth is None:
            raise UnavailableError("oauth_failed", "the tool server uses no OAuth")
        form = {"grant_type": "client_credentials", "resource": server.url or ""}
        if oauth.scopes:
            form["scope"] = " ".join(oauth.scopes)
        order = TokenOrder(
            token_url=oauth.token_url,
            form=form,
            purpose=f"tool server `{server.name}`",
            key="`oauth` of the server",
            client=oauth.client,
            client_secret=secret,
        )
        try:
            return await ask(self._client, order)
        except RingfenceError as error:
            self._failures.note(server, error)
            raise

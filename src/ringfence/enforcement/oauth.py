"""Access tokens for tool servers, got as this gateway itself (OAuth 2.1, client credentials)."""

import asyncio
from base64 import b64encode
from typing import Final, final
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from ringfence.domain.error import RingfenceError, UnavailableError
from ringfence.domain.tool import ToolServer
from ringfence.enforcement.route import origin_of
from ringfence.transport.http import Requester

_ANSWER_BYTES: Final = 64 * 1024
_TIMEOUT_S: Final = 10.0
_EARLY_S: Final = 30.0
"""A token is renewed so long before it ends, so that no call meets its end."""
_UNSTATED_S: Final = 300.0
"""How long a token is used that does not say how long it is good."""
_OK: Final = 200


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """An access token, and until when it is used (the loop's clock). INVARIANT (I5): no repr."""

    value: str
    until_s: float

    def __repr__(self) -> str:
        """Never the value."""
        return "Token(…)"


class _Granted(msgspec.Struct):
    access_token: str
    expires_in: float | None = None


_granted: Final = msgspec.json.Decoder(_Granted, strict=False)


@final
class ClientCredentials:
    """Gets tokens; who asks for the same server at the same time waits for the same answer."""

    def __init__(self, client: Requester) -> None:
        """Nothing is under way."""
        self._client = client
        self._asking: dict[ToolServer, asyncio.Task[Token]] = {}

    async def token(self, server: ToolServer, secret: str) -> Token:
        """A fresh token. Raises UnavailableError `oauth_failed`; no error holds a secret."""
        known = self._asking.get(server)
        if known is None:
            known = self._asking[server] = asyncio.create_task(self._ask(server, secret))
            known.add_done_callback(lambda _: self._asking.pop(server, None))
        return await asyncio.shield(known)

    async def _ask(self, server: ToolServer, secret: str) -> Token:
        oauth = server.oauth
        if oauth is None:
            raise UnavailableError("oauth_failed", "the tool server uses no OAuth")
        parts = urlsplit(oauth.token_url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        # RFC 6749 section 2.3.1: both parts are form-encoded before they are joined.
        pair = f"{quote(oauth.client, safe='')}:{quote(secret, safe='')}"
        form = {"grant_type": "client_credentials", "resource": server.url or ""}
        if oauth.scopes:
            form["scope"] = " ".join(oauth.scopes)
        headers = [
            (b"content-type", b"application/x-www-form-urlencoded"),
            (b"accept", b"application/json"),
            (b"authorization", b"Basic " + b64encode(pair.encode())),
        ]
        try:
            answer = await self._client.request(
                origin_of(oauth.token_url),
                b"POST",
                target.encode("ascii"),
                headers,
                urlencode(form).encode(),
                connect_timeout_s=_TIMEOUT_S,
                idle_timeout_s=_TIMEOUT_S,
            )
            body = await answer.read(_ANSWER_BYTES)
        except RingfenceError as error:
            raise _failed(server, error.message) from error
        if answer.status != _OK:
            raise _failed(server, f"it answered with status {answer.status}")
        try:
            granted = _granted.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise _failed(server, "its answer is no token") from None
        if not granted.access_token.isascii() or not granted.access_token.isprintable():
            raise _failed(server, "its token cannot stand in a header")
        lasts_s = _UNSTATED_S if granted.expires_in is None else granted.expires_in
        now_s = asyncio.get_running_loop().time()
        return Token(value=granted.access_token, until_s=now_s + max(0.0, lasts_s - _EARLY_S))


def _failed(server: ToolServer, why: str) -> UnavailableError:
    what = f"no access token for tool server `{server.name}`: {why}"
    return UnavailableError("oauth_failed", what, help="look at `oauth` of the server")

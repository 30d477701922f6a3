"""Authorization servers: who gives out tokens for a tool server, and under which name it knows us.

Found by what the tool server says of itself (RFC 9728) and they of themselves (RFC 8414).
"""

import asyncio
from collections.abc import Callable
from typing import Final, final
from urllib.parse import urlsplit

from ringfence.domain.error import PeerError, RingfenceError, UnavailableError, UsageError
from ringfence.domain.tool import OAuthClient
from ringfence.enforcement.route import origin_of
from ringfence.protocols import oauth
from ringfence.protocols.oauth import Issuer
from ringfence.transport.http import Headers, Requester

_METADATA_BYTES: Final = 64 * 1024
_TIMEOUT_S: Final = 10.0
_OK: Final = 200
_CREATED: Final = 201
_UNAUTHORISED: Final = 401
_JSON: Final = ((b"accept", b"application/json"),)


@final
class AuthorizationServers:
    """Asks tool servers and those whom they name; remembers nothing."""

    def __init__(self, client: Requester, secret: Callable[[str], str]) -> None:
        """`secret` is a configured credential by its name."""
        self._client = client
        self._secret = secret

    async def resource(self, url: str) -> oauth.Resource:
        """What a tool server says of itself. Raises PeerError, UnavailableError `oauth_failed`."""
        places = list(oauth.resource_places(url))
        status, headers, _ = await self._get(url)
        if status == _UNAUTHORISED:
            challenge = next((v for k, v in headers if k == b"www-authenticate"), b"")
            named = oauth.named_metadata(challenge.decode("latin-1"))
            if named:
                oauth.check_address(named, url)
                places.insert(0, named)
        for place in places:
            status, _, body = await self._get(place)
            if status == _OK:
                return oauth.read_resource(body, url)
        raise PeerError(
            "oauth_metadata",
            f"the tool server at `{url}` does not say who gives out tokens for it",
            help="it needs protected resource metadata (RFC 9728)",
        )

    async def issuer(self, issuer: str, url: str) -> Issuer:
        """What the one says of itself that gives out tokens for `url`. Raises as `resource`."""
        for place in oauth.issuer_places(issuer):
            status, _, body = await self._get(place)
            if status == _OK:
                return oauth.read_issuer(body, issuer, url)
        raise PeerError("oauth_metadata", f"`{issuer}` has no metadata (RFC 8414)")

    async def as_client(
        self, granted: OAuthClient, issuer: Issuer, redirect_uri: str
    ) -> tuple[str, str]:
        """Our name there, and what proves it: configured, or got by registering.

        Raises UsageError `oauth_client`, and as `resource`.
        """
        if granted.client:
            secret = self._secret(granted.secret) if granted.secret else ""
            return granted.client, secret
        if not issuer.registration_endpoint:
            raise UsageError(
                "oauth_client",
                f"`{issuer.issuer}` does not let clients register themselves",
                help="register one there, and name it as `client` under `oauth`",
            )
        body = oauth.registration(redirect_uri)
        status, _, answer = await self._send(b"POST", issuer.registration_endpoint, body)
        if status not in {_OK, _CREATED}:
            raise PeerError("oauth_metadata", f"the registration was answered with {status}")
        registered = oauth.read_registered(answer)
        return registered.client_id, registered.client_secret

    async def _get(self, url: str) -> tuple[int, Headers, bytes]:
        return await self._send(b"GET", url, b"")

    async def _send(self, method: bytes, url: str, body: bytes) -> tuple[int, Headers, bytes]:
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = [*_JSON, *([(b"content-type", b"application/json")] if body else [])]
        try:
            answer = await self._client.request(
                origin_of(url),
                method,
                target.encode("ascii"),
                headers,
                body,
                connect_timeout_s=_TIMEOUT_S,
                idle_timeout_s=_TIMEOUT_S,
            )
            try:
                # A stream that stays open is no metadata: only what comes at once is looked at.
                if answer.status not in {_OK, _CREATED}:
                    return answer.status, answer.headers, b""
                async with asyncio.timeout(_TIMEOUT_S):
                    return answer.status, answer.headers, await answer.read(_METADATA_BYTES)
            finally:
                answer.close()
        except TimeoutError as error:
            raise UnavailableError("oauth_failed", f"`{url}` does not answer in time") from error
        except RingfenceError as error:
            raise UnavailableError("oauth_failed", f"`{url}`: {error.message}") from error

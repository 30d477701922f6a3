"""OAuth towards tool servers: who gives out tokens, and what a person's browser is asked.

Sources: RFC 9728 (protected resource metadata), RFC 8414 (authorization server metadata), RFC 7636
(PKCE), RFC 8707 (resource indicators), RFC 9207 (`iss`), RFC 7591 (dynamic registration); MCP
2025-11-25 and 2026-07-28, Authorization.
"""

import hashlib
import re
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from typing import Final, NoReturn, TypeVar
from urllib.parse import SplitResult, urlencode, urlsplit, urlunsplit

import msgspec

from ringfence.domain.error import PeerError, UsageError

_RESOURCE: Final = "/.well-known/oauth-protected-resource"
_ISSUER: Final = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")
_NAMED: Final = re.compile(r'resource_metadata\s*=\s*"([^"\\]{1,2000})"')
_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_PKCE: Final = "S256"
_NAME: Final = "Ringfence"
_S = TypeVar("_S", bound=msgspec.Struct)


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool server says of itself: who gives out tokens for it, and for which scopes."""

    resource: str = ""
    authorization_servers: tuple[str, ...] = ()
    scopes_supported: tuple[str, ...] = ()


class Issuer(msgspec.Struct, frozen=True, kw_only=True):
    """What an authorization server says of itself."""

    issuer: str = ""
    authorization_endpoint: str = ""
    token_endpoint: str = ""
    registration_endpoint: str = ""
    code_challenge_methods_supported: tuple[str, ...] = ()
    names_itself: bool = msgspec.field(
        default=False, name="authorization_response_iss_parameter_supported"
    )


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """What an authorization server gives to a client that registers itself."""

    client_id: str
    client_secret: str = ""


def named_metadata(challenge: str) -> str:
    """Where a server's `WWW-Authenticate` says that its metadata are; empty if nowhere."""
    found = _NAMED.search(challenge)
    return found[1] if found is not None else ""


def resource_places(url: str) -> tuple[str, ...]:
    """Where the metadata of a server at this URL may be, the likelier first."""
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    places = (f"{_RESOURCE}{path}", _RESOURCE) if path else (_RESOURCE,)
    return tuple(_at(parts, place) for place in places)


def issuer_places(issuer: str) -> tuple[str, ...]:
    """Where the metadata of an authorization server may be, in the order in which to look."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    places = [_at(parts, f"{place}{path}") for place in _ISSUER]
    return (*places, _at(parts, f"{path}{_ISSUER[1]}")) if path else tuple(places)


def read_resource(raw: bytes, url: str) -> Resource:
    """The metadata of a tool server at this URL. Raises PeerError `oauth_metadata`."""
    found = _read(raw, Resource)
    if not _is_of(found.resource, url):
        _refuse(f"its metadata are of `{found.resource[:200]}` and not of it")
    if not found.authorization_servers:
        _refuse("its metadata name nobody who gives out tokens")
    check_address(found.authorization_servers[0], url)
    return found


def read_issuer(raw: bytes, issuer: str, url: str) -> Issuer:
    """The metadata of an authorization server, for the server at `url`. Raises PeerError."""
    found = _read(raw, Issuer)
    if found.issuer.rstrip("/") != issuer.rstrip("/"):  # RFC 8414 section 3.3
        _refuse(f"the metadata of `{issuer[:200]}` are those of another")
    if _PKCE not in found.code_challenge_methods_supported:
        _refuse(f"`{issuer[:200]}` does not say that it takes PKCE with {_PKCE}")
    for address in (found.authorization_endpoint, found.token_endpoint):
        check_address(address, url)
    if found.registration_endpoint:
        check_address(found.registration_endpoint, url)
    return found


def read_registered(raw: bytes) -> Registered:
    """The answer to a registration. Raises PeerError."""
    return _read(raw, Registered)


def check_address(address: str, url: str) -> None:
    """Refuse an address that a server names and that must not be gone to. Raises PeerError.

    INVARIANT: over https alone; a server on this machine may name others on this machine, and no
    other may.
    """
    try:
        parts = urlsplit(address)
        host, own = parts.hostname or "", urlsplit(url).hostname or ""
    except ValueError:
        host, own, parts = "", "", urlsplit("")
    is_plain = parts.scheme == "http" and host in _LOCAL and own in _LOCAL
    is_safe = parts.scheme == "https" and (host not in _LOCAL or own in _LOCAL)
    if not host or parts.username is not None or not address.isascii() or not (is_plain or is_safe):
        _refuse(f"it names an address that is not gone to: `{address[:200]}`")


def check_redirect(address: str) -> None:
    """Refuse a place for the browser to come back to where others could listen. Raises UsageError.

    Source: RFC 8252, section 7.3: loopback addresses may do without TLS.
    """
    try:
        parts = urlsplit(address)
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOCAL)
    except ValueError:
        is_safe = False
    if not is_safe:
        what = f"`{address[:200]}` is no place for a browser to come back to"
        raise UsageError("redirect_refused", what, help="use https, or this machine's own address")


def registration(redirect_uri: str) -> bytes:
    """What a client without a name says of itself (RFC 7591)."""
    return msgspec.json.encode(
        {
            "client_name": _NAME,
            "redirect_uris": [redirect_uri],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        }
    )


def challenge(verifier: str) -> str:
    """The PKCE challenge of a verifier (RFC 7636, S256)."""
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def authorization_url(  # noqa: PLR0913 (what such a request says)
    issuer: Issuer,
    *,
    client: str,
    redirect_uri: str,
    scopes: Sequence[str],
    state: str,
    verifier: str,
    resource: str,
) -> str:
    """Where a person's browser is sent."""
    asked = {
        "response_type": "code",
        "client_id": client,
        "redirect_uri": redirect_uri,
        "state": state,
        "code_challenge": challenge(verifier),
        "code_challenge_method": _PKCE,
        "resource": resource,
    }
    if scopes:
        asked["scope"] = " ".join(scopes)
    joint = "&" if urlsplit(issuer.authorization_endpoint).query else "?"
    return f"{issuer.authorization_endpoint}{joint}{urlencode(asked)}"


def check_issuer(issuer: Issuer, stated: str) -> None:
    """Refuse an answer of another server than was asked (RFC 9207). Raises PeerError."""
    if stated != issuer.issuer and (stated or issuer.names_itself):
        _refuse("the answer does not come from where the question went")


def _read(raw: bytes, kind: type[_S]) -> _S:
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        _refuse("its metadata cannot be read")


def _is_of(resource: str, url: str) -> bool:
    """Whether metadata are of that server: it, or what stands above it (RFC 9728, section 3.3)."""
    one, other = urlsplit(resource), urlsplit(url)
    above = one.path.rstrip("/")
    is_within = other.path == above or other.path.startswith(f"{above}/") or not above
    return (one.scheme, one.netloc) == (other.scheme, other.netloc) and is_within


def _at(parts: SplitResult, path: str) -> str:
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def _refuse(what: str) -> NoReturn:
    raise PeerError("oauth_metadata", what)

"""Which headers go on when a request or an answer is written anew for the next hop.

Sources: RFC 9110 sections 7.6 and 17.9, RFC 7239. What frames a message the engine writes itself.
"""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote_to_bytes

Header = tuple[bytes, bytes]

_HOP: Final = frozenset(
    {
        b"connection",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_ONWARD: Final = _HOP | {
    b"content-length",
    b"expect",
    b"forwarded",
    b"host",
    b"via",
    b"x-real-ip",
}
_BACK: Final = _HOP | {b"alt-svc", b"content-length"}
"""`alt-svc` would lead clients to HTTP/3, which goes nowhere from a sandbox."""
_PREFIXES: Final = (b"proxy-", b"x-forwarded-", b"ringfence-")
"""What tells or claims who asked; ours go to nobody but the plane."""
_NEVER_NAMED: Final = frozenset({b"close", b"keep-alive", b"upgrade"})

_OVERRIDES: Final = frozenset(
    {
        b"x-http-method",
        b"x-http-method-override",
        b"x-method-override",
        b"x-original-host",
        b"x-original-url",
        b"x-rewrite-url",
        b"x-host",
    }
)
"""With these some servers take a request for another than its first line and Host say."""
_METHOD: Final = re.compile(
    rb"(?:\A|[&;])(_method|x[-_]http[-_]method(?:[-_]override)?)(?:=|[&;]|\Z)"
)
"""The same as parameters, of a query or a form: Rails, Laravel, Symfony, Express, WordPress."""
_PERCENT: Final = ord("%")
"""As a number: CPython looks for bytes in bytes by way of an exception."""
_METHOD_PART: Final = re.compile(rb"name=\"?(_method)\"?[\s;]")


def override(headers: Iterable[Header]) -> str:
    """The name of a header that would make another request of this one; empty if there is none."""
    return next((name.decode("latin-1") for name, _ in headers if _plain(name) in _OVERRIDES), "")


def override_in(query: bytes) -> str:
    """The name of a parameter that would do the same, in a query or in a form like one."""
    if _PERCENT in query:
        query = unquote_to_bytes(query)
    if query.find(b"ethod") < 0 and query.find(b"ETHOD") < 0:
        return ""
    found = _METHOD.search(query.lower())
    return "" if found is None else found[1].decode("latin-1")


def override_in_form(kind: bytes, body: bytes) -> str:
    """The same in a body of that media type, as far as it is there."""
    kind = kind.lower()
    if kind.startswith(b"application/x-www-form-urlencoded"):
        return override_in(body)
    if kind.startswith(b"multipart/form-data"):
        found = _METHOD_PART.search(body)
        return "" if found is None else found[1].decode("latin-1")
    return ""


def _plain(name: bytes) -> bytes:
    """A name as servers read it to which `_` and `-` are one (RFC 3875 section 4.1.18)."""
    return name.replace(b"_", b"-")


def onward(headers: Iterable[Header]) -> list[Header]:
    """The headers of a request that go to the upstream; Host and framing are written anew."""
    return _kept(headers, _ONWARD)


def back(headers: Iterable[Header]) -> list[Header]:
    """The headers of an answer that go to the client."""
    return _kept(headers, _BACK)


def _kept(headers: Iterable[Header], dropped: frozenset[bytes]) -> list[Header]:
    kept: list[Header] = []
    named: set[bytes] = set()
    for header in headers:
        name = header[0]
        if name == b"connection":
            named.update(part.strip().lower() for part in header[1].split(b","))
        plain = name.replace(b"_", b"-")
        if plain not in dropped and not plain.startswith(_PREFIXES):
            kept.append(header)
    named -= _NEVER_NAMED
    return [header for header in kept if header[0] not in named] if named else kept

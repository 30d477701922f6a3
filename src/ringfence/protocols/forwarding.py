"""Which headers go on when a request or an answer is written anew for the next hop.

Sources: RFC 9110 sections 7.6 and 17.9, RFC 7239. What frames a message the engine writes itself.
"""

from collections.abc import Iterable
from typing import Final

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


def override(headers: Iterable[Header]) -> str:
    """The name of a header that would make another request of this one; empty if there is none."""
    return next((name.decode("latin-1") for name, _ in headers if name in _OVERRIDES), "")


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
        if name not in dropped and not name.startswith(_PREFIXES):
            kept.append(header)
    named -= _NEVER_NAMED
    return [header for header in kept if header[0] not in named] if named else kept

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
_METHOD: Final = re.compile(rb"_method|x[-_]http[-_]method(?:[-_]override)?")
"""The same as parameters, of a query or a form: Rails, Laravel, Symfony, Express, WordPress."""
_APART: Final = re.compile(rb"[&;]")
_PERCENT: Final = ord("%")
"""As a number: CPython looks for bytes in bytes by way of an exception."""
_DISPOSITION: Final = b"content-disposition"
_LINE: Final = re.compile(rb"(?:[^\r\n]|\r?\n[ \t])*")
"""The rest of a header's line, with what is folded into it."""
_NAMED: Final = re.compile(rb"\bname(\*?)\s*=\s*(\"[^\"]*|'[^']*'?(?:'[^;\s]*)?|[^;\s]*)")


def override(headers: Iterable[Header]) -> str:
    """The name of a header that would make another request of this one; empty if there is none."""
    return next((name.decode("latin-1") for name, _ in headers if _plain(name) in _OVERRIDES), "")


def override_in(query: bytes) -> str:
    """The name of a parameter that would do the same, in a query or in a form like one."""
    plain = unquote_to_bytes(query) if _PERCENT in query else query
    if plain.lower().find(b"method") < 0:
        return ""
    return next(
        filter(None, (_method(each.partition(b"=")[0]) for each in _APART.split(query))), ""
    )


def _method(name: bytes) -> str:
    """The name of a parameter as servers may read it, if it is one of those; else empty.

    PHP leaves out blanks in front, and makes `_` of other blanks and of dots.
    """
    text = unquote_to_bytes(name.replace(b"+", b" ")).lower().partition(b"\0")[0]
    bare = text.strip()
    if bare == b"method" and text[:1] == b" ":
        bare = b"_method"
    found = _METHOD.fullmatch(bare.replace(b".", b"_").replace(b" ", b"_"))
    return "" if found is None else found[0].decode("latin-1")


def override_in_form(kind: bytes, body: bytes) -> str:
    """The same in a body of that media type, as far as it is there."""
    kind = kind.lower()
    if kind.startswith(b"application/x-www-form-urlencoded"):
        return override_in(body)
    if kind.startswith(b"multipart/form-data"):
        return _override_in_parts(body.lower())
    return ""


def _override_in_parts(body: bytes) -> str:
    """The same in the heads of a form's parts; what is in a file names nothing."""
    at = body.find(_DISPOSITION)
    while at >= 0:
        line = _LINE.match(body, at)
        if line is None:  # it matches anything
            break
        for star, value in _NAMED.findall(line[0].replace(b"\\", b"")):
            text = value.rpartition(b"'")[2] if star else value.strip(b"\"'")
            if found := _method(text):
                return found
        at = body.find(_DISPOSITION, line.end())
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

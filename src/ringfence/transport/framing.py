"""How messages are framed: what may be read, and how heads are written.

llhttp (in its strict mode) refuses bare line ends, folded headers, wrong names and values, and
every dubious Content-Length and chunk. This module adds what it lets pass. What it still lets pass
is harmless, because it moves no boundary: several spaces before the target, empty lines before a
request, and the protocol names of RTSP and ICE in place of HTTP/1.0.
"""

import re
import time
from email.utils import formatdate
from http import HTTPStatus

from ringfence.transport.http import Headers, Origin

_OWNED = frozenset(
    (
        b"connection",
        b"content-length",
        b"date",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
"""Headers of one hop (RFC 9110 section 7.6.1): the engine writes them itself."""

_OWNED_BY_CLIENT = _OWNED | {b"host", b"expect"}

_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
_PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus}
_BODILESS = frozenset((204, 304))


class Malformed(Exception):  # noqa: N818 (a word of the protocol, turned into ours at the boundary)
    """A message that cannot be read; the connection ends with it."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        """`status` is what a server answers."""
        super().__init__(message)
        self.message = message
        self.status = status


def check_target(target: bytes) -> None:
    """Accept the origin form only (RFC 9112 section 3.2.1), without a fragment."""
    if not target.startswith(b"/") or b"#" in target:
        raise Malformed("the request target must be a path")


def check_host(hosts: int, host: bytes, version: str) -> None:
    """Accept exactly one valid Host; in HTTP/1.0 also none (RFC 9112 section 3.2)."""
    if hosts > 1 or (hosts == 0 and version == "1.1"):
        raise Malformed("a request needs exactly one Host header")
    if hosts and not _HOST.fullmatch(host):
        raise Malformed("the Host header is not valid")


def check_version(version: str) -> None:
    """Accept HTTP/1.0 and HTTP/1.1."""
    if version not in {"1.1", "1.0"}:
        raise Malformed("only HTTP/1.1 and HTTP/1.0 are spoken here", status=505)


def has_body(status: int) -> bool:
    """Whether an answer with that status may have a body (RFC 9112 section 6.3)."""
    return status not in _BODILESS


class _Cache:
    """Lines that stay the same for a while."""

    def __init__(self) -> None:
        self.second = 0
        self.date = b""
        self.status: dict[int, bytes] = {}


_cache = _Cache()


def _date_line() -> bytes:
    second = int(time.time())
    if second != _cache.second:
        _cache.second = second
        _cache.date = b"date: %b\r\n" % formatdate(second, usegmt=True).encode()
    return _cache.date


def _status_line(status: int) -> bytes:
    line = _cache.status.get(status)
    if line is None:
        phrase = _PHRASES.get(status, b"")
        line = _cache.status[status] = b"HTTP/1.1 %d %b\r\n" % (status, phrase)
    return line


def response_head(status: int, headers: Headers, framing: bytes) -> bytes:
    """Write the head of an answer; `framing` holds the engine's own header lines.

    Raises ValueError for a header that would end its line.
    """
    lines = [_status_line(status), _date_line(), framing]
    lines += [name + b": " + value + b"\r\n" for name, value in headers if name not in _OWNED]
    return _joined(lines, framing.count(b"\n") + len(lines) - 1)


def request_head(
    origin: Origin, method: bytes, target: bytes, headers: Headers, length: int
) -> bytes:
    """Write the head of a request. Host comes from the origin alone.

    Raises ValueError for a part that would end its line.
    """
    lines = [method, b" ", target, b" HTTP/1.1\r\nhost: ", authority(origin), b"\r\n"]
    kept = [
        name + b": " + value + b"\r\n" for name, value in headers if name not in _OWNED_BY_CLIENT
    ]
    ends = 2 + len(kept)
    if length or method not in {b"GET", b"HEAD"}:
        kept.append(b"content-length: %d\r\n" % length)
        ends += 1
    if b" " in target:
        raise ValueError("a request target holds no space")
    return _joined(lines + kept, ends)


def _joined(lines: list[bytes], ends: int) -> bytes:
    """INVARIANT: nothing that was handed in adds a line."""
    head = b"".join(lines)
    if head.count(b"\n") != ends or head.count(b"\r") != ends or b"\0" in head:
        raise ValueError("a header may not hold a line end or a NUL")
    return head + b"\r\n"


def authority(origin: Origin) -> bytes:
    """The origin as a Host header says it: without the default port, IPv6 in brackets."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    default = 443 if origin.scheme == "https" else 80
    return (host if origin.port == default else f"{host}:{origin.port}").encode("ascii")

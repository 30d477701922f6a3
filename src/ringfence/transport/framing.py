"""How messages are framed: what may be read, and how heads are written.

llhttp (in its strict mode) refuses bare line ends, folded headers, wrong names and values, and
every dubious Content-Length and chunk. This module adds what it lets pass. What it still lets pass
is harmless, because it moves no boundary: several spaces before the target, empty lines before a
request, and the protocol names of RTSP and ICE in place of HTTP/1.0.
"""

import re
import time
from collections.abc import Sequence
from email.utils import formatdate
from http import HTTPStatus
from typing import ClassVar

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
_BODILESS_METHODS = frozenset((b"GET", b"HEAD"))


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


class _Prefixes:
    """Status line and Date, written anew once a second."""

    second = 0
    date = b""
    lines: ClassVar[dict[int, bytes]] = {}


def _prefix(status: int) -> bytes:
    second = int(time.time())
    if second != _Prefixes.second:
        _Prefixes.second = second
        _Prefixes.date = formatdate(second, usegmt=True).encode()
        _Prefixes.lines.clear()
    line = _Prefixes.lines.get(status)
    if line is None:
        phrase = _PHRASES.get(status, b"")
        line = b"HTTP/1.1 %d %b\r\ndate: %b\r\n" % (status, phrase, _Prefixes.date)
        _Prefixes.lines[status] = line
    return line


def response_head(status: int, headers: Headers, own: Sequence[bytes]) -> bytes:
    """Write the head of an answer; `own` are the engine's header lines, without their ends.

    Raises ValueError for a header that would end its line.
    """
    lines = [b": ".join(pair) for pair in headers if pair[0] not in _OWNED]
    lines += own
    return _checked(_prefix(status), lines, 2)


def check_sent_target(target: bytes) -> None:
    """Raise ValueError for a target that would end its line, or its part of it."""
    if len(target.translate(None, b" \r\n\0")) != len(target):
        raise ValueError("a request target may not hold a space or a line end")


def request_start(host: bytes, method: bytes, target: bytes, headers: Headers) -> bytes:
    """Write the head of a request up to its length. Host is what the caller's origin says.

    Raises ValueError for a part that would end its line.
    """
    check_sent_target(target)
    lines = [b": ".join(pair) for pair in headers if pair[0] not in _OWNED_BY_CLIENT]
    first = b"".join((method, b" ", target, b" HTTP/1.1\r\nhost: ", host, b"\r\n"))
    return _checked(first, lines, 2)[:-2]


def request_end(method: bytes, length: int) -> bytes:
    """What ends the head of a request with a body of that length."""
    if length or method not in _BODILESS_METHODS:
        return b"content-length: %d\r\n\r\n" % length
    return b"\r\n"


def request_end_of_upload(length: int | None) -> bytes:
    """The same where the body follows piece by piece; in chunks if nobody knows its length."""
    if length is None:
        return b"transfer-encoding: chunked\r\n\r\n"
    return b"content-length: %d\r\n\r\n" % length


def _checked(first: bytes, lines: list[bytes], ends: int) -> bytes:
    """Put a head together.

    INVARIANT: nothing that was handed in adds a line; `first` holds as many ends as said.
    """
    lines.append(b"\r\n")
    head = first + b"\r\n".join(lines)
    if len(head) - len(head.translate(None, b"\r\n\0")) != 2 * (ends + len(lines)):
        raise ValueError("a header may not hold a line end or a NUL")
    return head


def authority(origin: Origin) -> bytes:
    """The origin as a Host header says it: without the default port, IPv6 in brackets."""
    if origin.scheme == "unix":
        return b"localhost"
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    default = 443 if origin.scheme == "https" else 80
    return (host if origin.port == default else f"{host}:{origin.port}").encode("ascii")

"""The path of a request as policies see it, and whether everybody reads the same in it.

Servers decode, join and cut paths in many ways. What some server takes for a way up is refused
whatever is asked; what is only read differently is told as a doubt, and refused where something
depends on the path. Sources: RFC 3986 sections 3.3 and 5.2.4; the tricks are those that proxies and
servers have disagreed about (`..;/`, `%2f`, `%5c`, `%252e`, `//`).
"""

import re
from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec

from ringfence.domain.error import PeerError
from ringfence.domain.verdict import Code

_PLAIN: Final = re.compile(rb"/(?:[A-Za-z0-9_~!$&'()*+,=:@-][A-Za-z0-9._~!$&'()*+,=:@-]*/?)*")
"""Nothing in it is written in two ways: no segment is empty or begins with a dot."""
_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_UNSEEN: Final = re.compile(rb"[\x00-\x20\x7f]")
_DECODED_MOST: Final = 4
"""How often a path may have been encoded before nobody can say what it means."""


class RequestPath(msgspec.Struct, frozen=True, kw_only=True):
    """A path that leads nowhere else than it seems to.

    `text` is it decoded once. `doubt` says what servers may read differently; empty if nothing.
    """

    text: str
    doubt: str = ""


def read_path(raw: bytes) -> RequestPath:
    """Read the path of a request, without its query. Raises PeerError `request_malformed`."""
    if _PLAIN.fullmatch(raw):
        return RequestPath(text=raw.decode("ascii"))
    if not raw.startswith(b"/") and raw != b"*":
        raise _malformed("it does not begin with a slash")
    if _ESCAPE.search(raw):
        raise _malformed("an escape in it is not complete")
    once = unquote_to_bytes(raw)
    readings = _readings(once)
    for reading in (raw, *readings):
        _check(reading)
    doubt = _doubt(raw, once, len(readings))
    try:
        return RequestPath(text=once.decode(), doubt=doubt)
    except UnicodeDecodeError:
        return RequestPath(text=once.decode("latin-1"), doubt="it is not text in UTF-8")


def _readings(once: bytes) -> list[bytes]:
    """The path as whoever decodes it again and again reads it."""
    readings = [once]
    while len(readings) <= _DECODED_MOST:
        again = unquote_to_bytes(readings[-1])
        if again == readings[-1]:
            return readings
        readings.append(again)
    raise _malformed("it is encoded too many times")


def _check(reading: bytes) -> None:
    if b"\\" in reading:
        raise _malformed("it holds a backslash")
    if _UNSEEN.search(reading.replace(b" ", b"")):
        raise _malformed("it holds a character that nobody sees")
    for segment in reading.split(b"/"):
        if segment.partition(b";")[0] in {b".", b".."}:
            raise _malformed("a part of it leads elsewhere (`.` or `..`)")


def _doubt(raw: bytes, once: bytes, readings: int) -> str:
    if readings > 1:
        return "it is encoded twice"
    if once.count(b"/") != raw.count(b"/"):
        return "it holds an encoded slash"
    if b"//" in once:
        return "it holds an empty part (`//`)"
    if b";" in once:
        return "it holds a semicolon"
    return ""


def _malformed(why: str) -> PeerError:
    return PeerError(Code.REQUEST_MALFORMED, f"the path cannot be read with certainty: {why}")

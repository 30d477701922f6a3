"""What HTTP headers repeat of a modern request, checked against the body, and written anew.

Source: 2026-07-28, Transports, "Standard headers" and "Custom headers from tool parameters"
(SEP-2243).
"""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Final

import msgspec

from ringfence.domain.error import PeerError
from ringfence.protocols import strict_json
from ringfence.protocols.mcp import error as errors
from ringfence.protocols.mcp import request as requests
from ringfence.protocols.mcp.error import McpError
from ringfence.protocols.mcp.request import Asked
from ringfence.protocols.mcp.version import LATEST, MODERN

Headers = Sequence[tuple[bytes, bytes]]

_OWN: Final = b"mcp-"
_PARAM: Final = b"mcp-param-"
_ENCODED: Final = (b"=?base64?", b"?=")


class Stated(msgspec.Struct, frozen=True, kw_only=True):
    """What the protocol's own headers of a request state; None for one that is not there."""

    version: str | None
    method: str | None
    name: bytes | None
    """As it stands there (`decoded`)."""
    mirrored: Headers
    """The `Mcp-Param-…` headers; they pass as they are, the server checks them."""
    is_twofold: bool
    """Whether one stands there twice, so that two readers could take different ones."""


def read(found: Headers) -> Stated:
    """Read a head; names are in lower case."""
    own = [(name, value) for name, value in found if name.startswith(_OWN)]
    headers = dict(own)
    version, method = headers.get(b"mcp-protocol-version"), headers.get(b"mcp-method")
    return Stated(
        version=None if version is None else version.decode("latin-1"),
        method=None if method is None else method.decode("utf-8", "replace"),
        name=headers.get(b"mcp-name"),
        mirrored=[header for header in own if header[0].startswith(_PARAM)],
        is_twofold=len(headers) < len(own),
    )


def check_once(stated: Stated) -> None:
    """Refuse a head of which two readers could take different things. Raises as `check`."""
    if stated.is_twofold:
        raise McpError(errors.HEADER_MISMATCH, "a header of the protocol stands there twice")


def check(asked: Asked, stated: Stated) -> None:
    """Refuse a head that says another thing than its body. Raises McpError `HEADER_MISMATCH`."""
    check_once(stated)
    method = asked.message.method
    inner = asked.said(requests.VERSION)
    if inner and stated.version != _word(inner):
        raise _mismatch("MCP-Protocol-Version", "params._meta")
    if stated.method != method:
        raise _mismatch("Mcp-Method", "the method")
    where = requests.named_in_head(method)
    if where and (stated.name is None or decoded(stated.name) != asked.text(where)):
        raise _mismatch("Mcp-Name", f"`params.{where}`")


def check_version(asked: Asked) -> None:
    """Refuse a modern revision that is not spoken here. Raises McpError `VERSION_UNSUPPORTED`."""
    asked_for = _word(asked.said(requests.VERSION))
    if asked_for not in MODERN:
        data = {"supported": [LATEST], "requested": asked_for}
        what = f"this gateway does not speak {strict_json.quote(asked_for)}"
        raise McpError(errors.VERSION_UNSUPPORTED, what, data)


def written(method: str, name: str, version: str = LATEST) -> list[tuple[bytes, bytes]]:
    """The standard headers of a request."""
    found = [(b"mcp-protocol-version", version.encode()), (b"mcp-method", method.encode())]
    if name:
        found.append((b"mcp-name", encoded(name)))
    return found


def encoded(text: str) -> bytes:
    """A text as a header's value: as it is, or marked base64 if a header could not hold it."""
    is_plain = text.isascii() and text.isprintable() and text == text.strip()
    start, end = _ENCODED
    if is_plain and not text.startswith(start.decode()):
        return text.encode()
    return start + b64encode(text.encode()) + end


def decoded(value: bytes) -> str:
    """The text of a header's value; what cannot be decoded stands for itself."""
    start, end = _ENCODED
    if value.startswith(start) and value.endswith(end) and len(value) >= len(start) + len(end):
        try:
            return b64decode(value[len(start) : -len(end)], validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise McpError(errors.HEADER_MISMATCH, "a header's base64 is not valid") from None
    return value.decode("latin-1")


def mirrors(schema: bytes) -> dict[str, str]:
    """The parameters that a schema of arguments wants repeated in headers, with their headers.

    Source: 2026-07-28, Tools, `x-mcp-header`: on members of `properties` that are no containers.
    """
    if _MIRROR.encode() not in schema:
        return {}
    try:
        found = msgspec.json.decode(schema, type=_Schema).properties
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return {name: each.header for name, each in found.items() if each.header}


def mirrored(schema: bytes, arguments: bytes) -> list[tuple[bytes, bytes]]:
    """The headers that repeat these arguments, an object read strictly."""
    wanted = mirrors(schema)
    if not wanted:
        return []
    given = msgspec.json.decode(arguments, type=dict[str, msgspec.Raw])
    return [
        (_PARAM + header.lower().encode(), encoded(_said(bytes(given[name]))))
        for name, header in wanted.items()
        if name in given and bytes(given[name]) != b"null"
    ]


def check_mirrored(schema: bytes, arguments: bytes, stated: Headers) -> None:
    """Refuse headers that say another thing than the arguments that a client was shown.

    Raises McpError `HEADER_MISMATCH`.
    """
    wanted = {name: decoded(value) for name, value in mirrored(schema, arguments)}
    for name, value in stated:
        if name in wanted and decoded(value) != wanted[name]:
            raise _mismatch(name.decode("latin-1"), "`params.arguments`")


class _Property(msgspec.Struct):
    header: str = msgspec.field(default="", name="x-mcp-header")


class _Schema(msgspec.Struct):
    properties: dict[str, _Property] = {}


_MIRROR: Final = "x-mcp-header"


def _said(raw: bytes) -> str:
    """A value as a header says it: a text as it is, a number or a truth value as in JSON."""
    return strict_json.text(raw, "argument") if raw[:1] == b'"' else raw.decode()


_USUAL: Final = {strict_json.encode(each): each for each in MODERN}


def _word(raw: bytes) -> str:
    usual = _USUAL.get(raw)
    if usual is not None:
        return usual
    try:
        return strict_json.text(raw, "version")
    except PeerError:
        return ""


def _mismatch(header: str, body: str) -> McpError:
    return McpError(errors.HEADER_MISMATCH, f"the header `{header}` does not match {body}")

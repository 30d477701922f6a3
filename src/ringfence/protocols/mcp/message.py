"""One message of JSON-RPC: what it is, and where its parts stand in its bytes."""

from enum import Enum, auto
from typing import Final

import msgspec

from ringfence.domain.error import PeerError
from ringfence.protocols import strict_json
from ringfence.protocols.mcp import error as errors
from ringfence.protocols.mcp.error import McpError
from ringfence.protocols.strict_json import Span

_KNOWN: Final = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})
_TWO: Final = b'"2.0"'
_NOWHERE: Final = (0, 0)
_OPEN: Final = ord("{")
_USUAL: Final = {
    strict_json.encode(name): name
    for name in ("tools/call", "tools/list", "resources/read", "prompts/get")
}
"""Methods as almost every client writes them."""
_METHOD_CHARACTERS: Final = 200


class Kind(Enum):
    """What a message is."""

    REQUEST = auto()
    NOTIFICATION = auto()
    RESPONSE = auto()


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message whose bytes stay as they came; `parts` says where its members stand.

    `id` is the raw JSON of its id, empty for a notification.
    """

    raw: bytes
    kind: Kind
    id: bytes
    method: str
    parts: dict[str, Span]

    def part(self, name: str) -> bytes:
        """The raw JSON of a member; empty if there is none."""
        span = self.parts.get(name)
        return b"" if span is None else self.raw[span[0] : span[1]]


def read(raw: bytes) -> Message:
    """Read a client's message strictly (I8): a name stands once, and means one thing.

    Raises McpError `PARSE` and `INVALID_REQUEST`.
    """
    if raw[:1] == b"[":
        raise McpError(errors.INVALID_REQUEST, "batches are not taken; send each message alone")
    try:
        parts = strict_json.spans(raw)
        strict_json.refuse_lookalikes(parts, _KNOWN)
    except PeerError as error:
        raise McpError(errors.PARSE, error.message) from error
    return _sorted_out(raw, parts)


def _sorted_out(raw: bytes, parts: dict[str, Span]) -> Message:
    start, end = parts.get("jsonrpc", _NOWHERE)
    if raw[start:end] != _TWO:
        raise McpError(errors.INVALID_REQUEST, 'a message must say `"jsonrpc": "2.0"`')
    start, end = parts.get("id", _NOWHERE)
    number = raw[start:end]
    if number and not _is_id(number):
        raise McpError(errors.INVALID_REQUEST, "an id must be a text or a whole number")
    start, end = parts.get("method", _NOWHERE)
    method = raw[start:end]
    if not method:
        if not number or ("result" in parts) == ("error" in parts):
            raise McpError(errors.INVALID_REQUEST, "neither a request nor an answer to one")
        return Message(raw=raw, kind=Kind.RESPONSE, id=number, method="", parts=parts)
    try:
        name = _USUAL.get(method) or strict_json.text(method, "method")
    except PeerError as error:
        raise McpError(errors.INVALID_REQUEST, error.message) from error
    if len(name) > _METHOD_CHARACTERS or "result" in parts or "error" in parts:
        raise McpError(errors.INVALID_REQUEST, "this is no request")
    at = parts.get("params")
    if at is not None and raw[at[0]] != _OPEN:
        raise McpError(errors.INVALID_PARAMS, "`params` must be an object", status=400)
    kind = Kind.REQUEST if number else Kind.NOTIFICATION
    return Message(raw=raw, kind=kind, id=number, method=name, parts=parts)


def _is_id(number: bytes) -> bool:
    if number[:1] == b'"':
        return True
    return number.lstrip(b"-").isdigit() and len(number) <= 19  # noqa: PLR2004 (2⁶³ has so many digits)


class Envelope(msgspec.Struct):
    """An upstream's message: only what says where it goes."""

    id: msgspec.Raw = msgspec.Raw(b"")
    method: str = ""
    params: msgspec.Raw = msgspec.Raw(b"")
    result: msgspec.Raw = msgspec.Raw(b"")
    error: msgspec.Raw = msgspec.Raw(b"")

    @property
    def kind(self) -> Kind:
        """What it is; whatever has no method is an answer."""
        if not self.method:
            return Kind.RESPONSE
        return Kind.REQUEST if bytes(self.id) not in {b"", b"null"} else Kind.NOTIFICATION


_envelope: Final = msgspec.json.Decoder(Envelope)


def open_envelope(raw: bytes) -> Envelope:
    """Read an upstream's message. Raises PeerError `provider_malformed`."""
    try:
        return _envelope.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        what = "the tool server's message is not valid JSON-RPC"
        raise PeerError("provider_malformed", what) from error


def response(number: bytes, result: bytes) -> bytes:
    """Write an answer around a result."""
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (number, result)


def request(number: bytes, method: str, params: bytes = b"{}") -> bytes:
    """Write a request around its parameters."""
    said = msgspec.json.encode(method)
    return b'{"jsonrpc":"2.0","id":%b,"method":%b,"params":%b}' % (number, said, params)


def notification(method: str, params: bytes = b"{}") -> bytes:
    """Write a notification around its parameters."""
    return b'{"jsonrpc":"2.0","method":%b,"params":%b}' % (msgspec.json.encode(method), params)


def replace_id(raw: bytes, number: bytes) -> bytes:
    """Give a message another id and leave all else as it is."""
    start, end = strict_json.spans(raw)["id"]
    return raw[:start] + number + raw[end:]

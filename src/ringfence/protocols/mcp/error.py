"""Errors of JSON-RPC and MCP, and what is said to an agent whose call was refused."""

from typing import Final, NamedTuple

import msgspec

from ringfence.domain.verdict import Ask, Deny, Reason, Refused, Stop, Throttle

PARSE: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL: Final = -32603
RESOURCE_NOT_FOUND: Final = -32002
"""Until 2025-11-25; `INVALID_PARAMS` since (2026-07-28)."""
REFUSED: Final = -32003
"""Ours: a method other than `tools/call` was refused. Measured: clients show its message."""
HEADER_MISMATCH: Final = -32020
CAPABILITY_MISSING: Final = -32021
VERSION_UNSUPPORTED: Final = -32022

_STATUS: Final = {
    PARSE: 400,
    INVALID_REQUEST: 400,
    METHOD_NOT_FOUND: 404,
    HEADER_MISMATCH: 400,
    CAPABILITY_MISSING: 400,
    VERSION_UNSUPPORTED: 400,
}
MODERN_ANSWERS: Final = frozenset({HEADER_MISMATCH, CAPABILITY_MISSING, VERSION_UNSUPPORTED})
"""Only a server of the modern era gives these."""


class McpError(Exception):
    """A request that is answered with an error of JSON-RPC."""

    def __init__(
        self, code: int, message: str, data: object = None, *, status: int | None = None
    ) -> None:
        """`status` is that of the HTTP answer in the modern era; by default the code's own."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data
        self.status = _STATUS.get(code, 200) if status is None else status


class Fault(msgspec.Struct):
    """An error as a peer wrote it."""

    code: int = INTERNAL
    message: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")


_fault: Final = msgspec.json.Decoder(Fault)


def read(raw: bytes) -> Fault:
    """Read a peer's error; one of the wrong form is an internal error without words."""
    try:
        return _fault.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Fault()


class _Supported(msgspec.Struct):
    supported: list[str] = []


_supported: Final = msgspec.json.Decoder(_Supported)


def supported(fault: Fault) -> list[str]:
    """The revisions that a server says it supports, in `VERSION_UNSUPPORTED`."""
    try:
        return _supported.decode(bytes(fault.data) or b"{}").supported
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []


def document(number: bytes, code: int, message: str, data: object = None) -> bytes:
    """Write an answer that is an error. `number` is the raw id; empty for an unknown one."""
    error: dict[str, object] = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    said = msgspec.json.encode(error)
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (number or b"null", said)


class Refusal(NamedTuple):
    """The parts of a refusal that programs read."""

    verdict: str
    code: str
    facts: dict[str, str]


def refused_result(verdict: Refused, action: str) -> bytes:
    """A refused call of a tool, as a result that the model reads (2025-11-25, Tools, errors).

    Text for the model, and `structuredContent` `{verdict, code, message, facts…}` for programs.
    """
    reason = verdict.reason
    told = {**_told(verdict), **dict(reason.facts)}
    if action:
        told["action"] = action
    result = {
        "content": [{"type": "text", "text": reason.message}],
        "structuredContent": told,
        "isError": True,
    }
    return msgspec.json.encode(result)


def refused_data(verdict: Refused) -> dict[str, str]:
    """The same for the `data` of an error."""
    return {**_told(verdict), **dict(verdict.reason.facts)}


def _told(verdict: Refused) -> dict[str, str]:
    reason: Reason = verdict.reason
    words = {Deny: "deny", Ask: "ask", Throttle: "throttle", Stop: "stop"}
    told = {"verdict": words[type(verdict)], "code": reason.code.value, "message": reason.message}
    if isinstance(verdict, Throttle):
        told["retry_after_s"] = f"{verdict.retry_after_s:g}"
    return told

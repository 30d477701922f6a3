"""What the tool door says by itself: refusals, failures, and which notifications pass."""

from typing import Final

import msgspec

from ringfence.domain.error import UnavailableError
from ringfence.domain.verdict import Code, Reason
from ringfence.enforcement.refusal import RefusedAction
from ringfence.gateways.tool.channel import Failure
from ringfence.gateways.tool.rounds import SUSPENDED_S
from ringfence.protocols.mcp import elicitation, message, request, translation
from ringfence.protocols.mcp import error as errors
from ringfence.protocols.mcp.message import Envelope
from ringfence.protocols.mcp.request import Asked
from ringfence.protocols.mcp.version import Era

WITHHELD: Final = (
    b'{"code":-32603,"message":"Ringfence withheld what the tool server said: it shows a '
    b"credential of Ringfence's. Do not retry; tell whoever runs Ringfence.\"}"
)
"""The error in place of one that may not be shown."""
SUSPENDED_US: Final = int(SUSPENDED_S * 1e6)
_FIRST_ERROR: Final = 400
_MAY_ASK: Final = frozenset({"tools/call", "prompts/get", "resources/read"})
"""Methods whose modern results may ask for input (2026-07-28, MRTR)."""
_UNAUTHORISED: Final = frozenset({401, 403})


def refusal(asked: Asked, refused: RefusedAction, era: Era) -> tuple[bytes, int]:
    """A refused request as its client expects it: message and status of HTTP.

    A tool's refusal is a result that the model reads; that of any other method is an error.
    Measured: neither is retried by any client.
    """
    number = asked.message.id
    if asked.message.method == "tools/call":
        result = errors.refused_result(refused.verdict, refused.action)
        if era is Era.MODERN:
            result = translation.completed(result, "tools/call")
        return message.response(number, result), 200
    data = errors.refused_data(refused.verdict)
    text = refused.verdict.reason.message
    return errors.document(number, errors.REFUSED, text, data), 200


def fault(asked: Asked, era: Era, raw: bytes, status: int) -> tuple[bytes, int]:
    """A server's error in the words of its client's era: message and status of HTTP."""
    number = asked.message.id
    read = errors.read(raw)
    if era is Era.LEGACY:
        return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (number, raw), 200
    if read.code == elicitation.URL_REQUIRED and asked.message.method in _MAY_ASK:
        return message.response(number, _visit(asked, bytes(read.data))), 200
    code = translation.error_code(read.code, is_modern=True)
    status = status if status >= _FIRST_ERROR else 200
    if code == read.code:
        return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (number, raw), status
    data = read.data if bytes(read.data) else None
    return errors.document(number, code, read.message, data), status


def _visit(asked: Asked, data: bytes) -> bytes:
    """What a modern client gets for a page that its user must visit before the call is made."""
    can = elicitation.modes(asked.said(request.CAPABILITIES))
    wanted = elicitation.required(data) if elicitation.URL in can else b""
    if wanted:
        return wanted
    told = {"type": "text", "text": elicitation.in_words(data)}
    return translation.completed(
        msgspec.json.encode({"content": [told], "isError": True}), asked.message.method
    )


def failed(server: str, failure: Failure) -> Reason:
    """A tool server that gave no answer, in words that a model can act on."""
    error = failure.error
    facts = [("server", server), ("cause", error.code)]
    if failure.status:
        facts.append(("status", str(failure.status)))
    if failure.retry_after.isdecimal():  # whatever else it holds was chosen by the server
        facts.append(("retry_after", failure.retry_after))
    if error.code == "not_authorised":
        text = f"Nothing was done: {error.message}. You cannot mend this: tell your operator."
    elif failure.status in _UNAUTHORISED:
        text = (
            f"The tool server `{server}` refused Ringfence's own credential. You cannot mend this: "
            "tell your operator, and go on without this tool."
        )
    elif not failure.was_sent:
        text = f"The tool server `{server}` cannot be reached, so nothing was done there."
    else:
        text = (
            f"The tool server `{server}` gave no usable answer: {error.message}. Whether it has "
            "done what was asked is not known."
        )
    return Reason(code=Code.TOOL_UNAVAILABLE, message=text, facts=tuple(facts))


def late(timeout_s: float) -> Failure:
    """A server that has not answered in time."""
    what = f"it did not answer within {timeout_s:g} seconds"
    return Failure(error=UnavailableError("provider_timeout", what))


def intent_late() -> Reason:
    """The ledger takes too long."""
    return Reason(
        code=Code.STORE_UNAVAILABLE,
        message="Ringfence could not write its record in time, so this call was not made. Try "
        "again in a moment.",
    )


def may_pass(envelope: Envelope, asked: Asked, era: Era) -> bool:
    """Whether a client of that era wants this notification on its request's stream."""
    if era is Era.LEGACY or envelope.method != "notifications/message":
        return True
    return bool(asked.said(request.LOG_LEVEL))

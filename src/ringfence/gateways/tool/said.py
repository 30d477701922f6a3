"""What the tool door says by itself: refusals, failures, and which notifications pass."""

from typing import Final

from ringfence.domain.error import UnavailableError
from ringfence.domain.verdict import Code, Reason
from ringfence.enforcement.refusal import RefusedAction
from ringfence.gateways.tool.channel import Failure
from ringfence.gateways.tool.rounds import SUSPENDED_S
from ringfence.protocols.mcp import error as errors
from ringfence.protocols.mcp import message, request, translation
from ringfence.protocols.mcp.message import Envelope
from ringfence.protocols.mcp.request import Asked
from ringfence.protocols.mcp.version import Era

WITHHELD: Final = (
    b'{"code":-32603,"message":"Ringfence withheld what the tool server said: it shows a '
    b"credential of Ringfence's. Do not retry; tell whoever runs Ringfence.\"}"
)
"""The error in place of one that may not be shown."""
SUSPENDED_US: Final = int(SUSPENDED_S * 1e6)
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


def failed(server: str, failure: Failure) -> Reason:
    """A tool server that gave no answer, in words that a model can act on."""
    error = failure.error
    facts = [("server", server), ("cause", error.code)]
    if failure.status:
        facts.append(("status", str(failure.status)))
    if failure.retry_after.isdecimal():  # whatever else it holds was chosen by the server
        facts.append(("retry_after", failure.retry_after))
    if failure.status in _UNAUTHORISED:
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

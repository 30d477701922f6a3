"""How every door answers: our own headers, and a refusal in the words of the caller's dialect."""

from ringfence.domain.model import Dialect
from ringfence.domain.verdict import Code, Reason
from ringfence.enforcement.refusal import RefusedAction
from ringfence.protocols.refusal import error_body, recognise, render
from ringfence.transport.http import Headers, Request, Response


def own_headers(invocation: str, action: str) -> list[tuple[bytes, bytes]]:
    """What every answer of the data plane carries, as far as it is known."""
    ours = []
    if invocation:
        ours.append((b"ringfence-invocation", invocation.encode()))
    if action:
        ours.append((b"ringfence-action", action.encode()))
    return ours


def client_of(headers: Headers) -> str:
    """The client's user agent, cut to what a record needs."""
    for name, value in headers:
        if name == b"user-agent":
            return value[:120].decode("latin-1")
    return ""


def answer_refusal(
    request: Request,
    response: Response,
    dialect: Dialect | None,
    refused: RefusedAction,
    *,
    is_charged: bool = False,
) -> None:
    """Put a refusal to the client, unless it has left."""
    if response.is_disconnected:
        return
    client = recognise(request.headers)
    rendered = render(refused.verdict, dialect, client, is_charged=is_charged)
    ours = own_headers(refused.invocation, refused.action)
    if refused.verdict.reason.code is Code.REQUEST_TOO_LARGE:
        # The rest of the body is not read, so the connection cannot serve another request.
        ours.append((b"connection", b"close"))
    response.send(rendered.status, [*rendered.headers, *ours], rendered.body)


def engine_refusal(status: int, code: str, message: str) -> tuple[Headers, bytes]:
    """A refusal of the HTTP engine itself: what it refused had no path yet, and so no dialect."""
    reason = Reason(code=Code(code), message=f"Ringfence refused this request: {message}.")
    headers = ((b"content-type", b"application/json"), (b"x-should-retry", b"false"))
    return headers, error_body(None, status, reason)

"""How every door answers: our own headers, and a refusal in the words of the caller's dialect."""

from ringfence.domain.model import Dialect
from ringfence.domain.verdict import Code
from ringfence.enforcement.refusal import RefusedAction
from ringfence.protocols.refusal import recognise, render
from ringfence.transport.http import Request, Response


def own_headers(invocation: str, action: str) -> list[tuple[bytes, bytes]]:
    """What every answer of the data plane carries (DESIGN §11), as far as it is known."""
    ours = []
    if invocation:
        ours.append((b"ringfence-invocation", invocation.encode()))
    if action:
        ours.append((b"ringfence-action", action.encode()))
    return ours


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

"""How egress puts a refusal: a status that clients do not repeat, and a text that a model reads."""

from typing import Final

from ringfence.decisions import reason as reasons
from ringfence.domain.action import ActionKind
from ringfence.domain.error import RingfenceError
from ringfence.domain.verdict import Code, Deny, Reason, Throttle
from ringfence.enforcement.http_ticket import HttpTicket
from ringfence.enforcement.refusal import RefusedAction, RequestedAction
from ringfence.enforcement.sandbox import LiveSandbox
from ringfence.gateways.answer import own_headers
from ringfence.gateways.egress.place import Means
from ringfence.transport.http import Headers, Response

_FORBIDDEN: Final = 403
_STATUS: Final = {
    Code.REQUEST_MALFORMED: 400,
    Code.REQUEST_TOO_LARGE: 413,
    Code.PROVIDER_UNAVAILABLE: 502,
    Code.PROVIDER_MALFORMED: 502,
    Code.PROVIDER_TIMEOUT: 504,
    Code.CIRCUIT_OPEN: 503,
    Code.STORE_UNAVAILABLE: 503,
    Code.SHUTTING_DOWN: 503,
    Code.RATE_EXCEEDED: 429,
}
"""Everything else is 403: pip, npm, git and curl repeat 5xx and 429 by themselves, and what is
refused for good must not be repeated."""
_PHRASE_CHARACTERS: Final = 200
_WORD_CHARACTERS: Final = 200
_TARGET_CHARACTERS: Final = 2_048


def record(  # noqa: PLR0913 (a refusal has these parts)
    means: Means,
    box: LiveSandbox,
    why: Reason,
    *,
    resource: str,
    operation: str,
    target: str = "",
) -> RefusedAction:
    """Put the refusal of something on the record that never became a request."""
    requested = RequestedAction(
        kind=ActionKind.HTTP_REQUEST,
        resource=resource[:_WORD_CHARACTERS],
        operation=operation[:_WORD_CHARACTERS],
        invocation=box.live.id,
        root=box.live.root,
        sandbox=box.id,
        target=target[:_TARGET_CHARACTERS],
    )
    return means.path.refuse(box.caller, Deny(reason=why), requested)


def status_of(why: Reason) -> int:
    """The status that a reason has."""
    return _STATUS.get(why.code, _FORBIDDEN)


def answer(response: Response, refused: RefusedAction) -> None:
    """Put a refusal to the client; an answer that has begun is cut."""
    if response.is_disconnected:
        return
    if response.is_started:
        response.abort()
        return
    why = refused.verdict.reason
    status, headers, body = rendered(why)
    wait = refused.verdict
    if isinstance(wait, Throttle):
        headers.append((b"retry-after", b"%d" % max(1, round(wait.retry_after_s))))
    response.send(status, [*headers, *own_headers(refused.invocation, refused.action)], body)


def rendered(why: Reason) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """A reason as an answer: its status, headers and text."""
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"ringfence-refusal", why.code.value.encode()),
        (b"x-should-retry", b"false"),
    ]
    return status_of(why), headers, f"{why.message}\n".encode()


def tunnel_refusal(refused: RefusedAction) -> bytes:
    """The refusal of a tunnel: its reason stands in the status line, for few clients show more."""
    why = refused.verdict.reason
    status, headers, body = rendered(why)
    said = "".join(c if " " <= c <= "~" else "?" for c in why.message[:_PHRASE_CHARACTERS])
    lines = [b"HTTP/1.1 %d %b" % (status, said.encode())]
    pairs: Headers = [*headers, *own_headers(refused.invocation, refused.action)]
    lines += [b"%b: %b" % pair for pair in pairs]
    lines += [b"content-length: %d" % len(body), b"connection: close", b"", body]
    return b"\r\n".join(lines)


def why_failed(ticket: HttpTicket, error: RingfenceError) -> Reason:
    """Why a request that was allowed got no answer."""
    resource = ticket.resource
    if error.code in _UNREADY:
        words = (
            f"Ringfence cannot add the credential that a request to `{resource}` needs, so it was "
            "not sent. Do not retry; a person has to look at it."
        )
        facts = (("cause", error.code),)
        return Reason(code=Code.PROVIDER_CREDENTIAL, message=words, facts=facts)
    if error.code == Code.REQUEST_MALFORMED:
        words = f"Ringfence refused this request: {error.message}."
        return Reason(code=Code.REQUEST_MALFORMED, message=words)
    if error.code == Code.DESTINATION_REFUSED:
        return Reason(code=Code.DESTINATION_REFUSED, message=error.message)
    return reasons.host_failed(resource, error.code, error.message)


_UNREADY: Final = frozenset({"secret_missing", "secret_unusable", "oauth_failed"})

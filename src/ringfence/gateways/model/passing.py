"""How a provider's answer is passed on: whole, as a stream, or as the error that it is."""

import logging
from typing import Final, final

from ringfence.decisions import reason as reasons
from ringfence.decisions.settlement import Billing, billing_of_refusal
from ringfence.domain.error import PeerError, RingfenceError
from ringfence.domain.event import Status
from ringfence.domain.exchange import Answer
from ringfence.domain.model import Dialect
from ringfence.domain.verdict import Code, Reason, Throttle
from ringfence.enforcement.credential import SpeechScan, StreamScan
from ringfence.enforcement.finding import SECRET_SHOWN
from ringfence.gateways.model.buffer import Collector, send_whole
from ringfence.gateways.model.call import Call
from ringfence.gateways.model.relay import KEPT_BYTES_MAX, Inspect, Passage, StreamRelay
from ringfence.protocols.dialect import AnswerStream
from ringfence.transport.http import UpstreamResponse

_LOG = logging.getLogger(__name__)

_ERROR_BYTES_MAX: Final = 1024 * 1024
_STEP_BYTES: Final = 64 * 1024
_ANY_BYTES: Final = 2**63
_ANSWERS: Final = range(200, 300)
_FIRST_ERROR: Final = 400
_OUR_CREDENTIAL: Final = frozenset({401, 403})


def pass_on(call: Call, upstream: UpstreamResponse) -> None:
    """Begin to pass an answer on; the rest follows as it comes.

    Raises PeerError `provider_malformed` for an answer that cannot be read or governed.
    """
    if upstream.status >= _FIRST_ERROR:
        upstream.pipe(_Error(call, upstream))
        return
    _check_head(upstream)
    if call.asked.stream and not _is_plain_json(call, upstream):
        _pass_stream(call, upstream)
    else:
        upstream.pipe(_Whole(call, upstream))


@final
class _Whole(Collector):
    """A whole answer: read, settled, then passed on."""

    def __init__(self, call: Call, upstream: UpstreamResponse) -> None:
        super().__init__(upstream, call.means.limits.answer_bytes, call.ask.portion)
        self._call = call

    def collected(self, body: bytes) -> None:
        self._call.take(self._pass, body)

    def no_room(self, full: Throttle) -> None:
        self._call.give_up(Status.FAILED, full.reason)

    def broken(self, error: Exception) -> None:
        self._call.take(_raise_or_fail, self._call, error)

    def _pass(self, body: bytes) -> None:
        call, upstream = self._call, self._upstream
        first_byte_us = call.means.clock.monotonic_us()
        answer = call.codec.read(body)
        if call.scan.finds(body):
            _withhold(call, upstream, answer)
            return
        agent = call.ticket.caller.runtime.agent
        allowed = agent.limits.result_bytes
        if allowed is not None and len(body) > allowed:
            _cut_whole(call, upstream, answer, reasons.result_too_large(agent, allowed))
            return
        gone = call.response.is_disconnected
        call.settle(
            Status.CLIENT_GONE if gone else Status.OK,
            Billing.ANSWERED,
            http_status=upstream.status,
            answer=answer,
            body=body,
            first_byte_us=first_byte_us,
        )
        if gone:
            call.end()
        else:
            call.act(_send_whole, call, upstream, body)


@final
class _Error(Collector):
    """A provider's error; one about our credential, which could show the key, does not pass."""

    def __init__(self, call: Call, upstream: UpstreamResponse) -> None:
        super().__init__(upstream, _ERROR_BYTES_MAX, call.ask.portion)
        self._call = call

    def collected(self, body: bytes) -> None:
        self._call.take(self._pass, body, "")

    def no_room(self, full: Throttle) -> None:
        self._call.take(self._pass, b"", full.reason.message)

    def broken(self, error: Exception) -> None:
        if isinstance(error, RingfenceError):
            self._call.take(self._pass, b"", error.message)
        else:
            self._call.take(_raise_or_fail, self._call, error)

    def _pass(self, body: bytes, unread: str) -> None:
        call, status = self._call, self._upstream.status
        provider = call.leg.provider.name
        if status in _OUR_CREDENTIAL or call.scan.finds(body):
            _LOG.error(
                "provider refused our credential", extra={"provider": provider, "status": status}
            )
            call.settle(
                Status.UPSTREAM_ERROR,
                Billing.NONE,
                http_status=status,
                error="provider_credential",
            )
            call.refuse(reasons.provider_credential(provider, status))
            call.end()
            return
        call.settle(
            Status.UPSTREAM_ERROR,
            billing_of_refusal(status),
            http_status=status,
            error=f"http_{status}",
            body=body,
        )
        if unread:
            cause = f"it refused the call with status {status}, and {unread}"
            call.refuse(reasons.provider_failed(provider, Code.PROVIDER_MALFORMED.value, cause))
            call.end()
        else:
            call.act(_send_whole, call, self._upstream, body)


def _send_whole(call: Call, upstream: UpstreamResponse, body: bytes) -> None:
    """Answer; a long answer goes out in pieces, each only with authority."""
    headers = call.headers(upstream)
    send_whole(call.response, upstream.status, headers, body, go_on=call.go_on, sent=call.end)


def _pass_stream(call: Call, upstream: UpstreamResponse) -> None:
    call.response.start(upstream.status, call.headers(upstream))
    reader = call.codec.stream(call.asked)
    call.relay = StreamRelay(
        upstream=upstream,
        response=call.response,
        reader=reader,
        codec=call.codec,
        guard=call.ticket.guard,
        inspect=_inspector(call, reader),
        clock=call.means.clock,
        authority=call.means.authority,
        drain_s=call.means.limits.drain_s,
    )
    call.relay.begin(lambda passage: call.take(_stream_passed, call, upstream, reader, passage))


def _stream_passed(
    call: Call, upstream: UpstreamResponse, reader: AnswerStream, passage: Passage
) -> None:
    answer = reader.answer()
    if passage.stop is not None and passage.stop.code is Code.PROVIDER_MALFORMED:
        answer = Answer(usage=answer.usage)  # its other words may show the credential too
    known = answer.usage is not None and reader.is_complete
    whole = passage.status is Status.OK or (passage.status is Status.CLIENT_GONE and known)
    call.settle(
        passage.status,
        Billing.ANSWERED if whole else Billing.UNCERTAIN,
        http_status=upstream.status,
        error=passage.error,
        answer=answer,
        body=passage.body,
        first_byte_us=passage.first_byte_us,
    )
    if passage.stop is not None:
        call.means.path.stop_invocation(call.ticket.live, passage.stop)
    call.end()


def _inspector(call: Call, reader: AnswerStream) -> Inspect:
    """Looks for the provider's credential in a stream; what shows it is never forwarded.

    What the relay keeps of the stream is held in steps, so that most pieces cost nothing.
    """
    stream, speech = StreamScan(call.scan), SpeechScan(call.scan)
    provider = call.leg.provider.name
    portion = call.ask.portion
    passed = held = 0
    agent = call.ticket.caller.runtime.agent
    allowed = agent.limits.result_bytes or _ANY_BYTES

    def inspect(data: bytes) -> Reason | None:
        nonlocal passed, held
        passed += len(data)
        if passed > allowed:
            return reasons.result_too_large(agent, allowed)
        if passed > held and held < KEPT_BYTES_MAX:
            step = max(_STEP_BYTES, passed - held)
            full = portion.take(step)
            if full is not None:
                return full.reason
            held += step
        if not stream.finds(data) and not speech.finds(reader.take_said()):
            return None
        _shown(call, provider)
        return reasons.secret_shown(provider)

    return inspect


def _withhold(call: Call, upstream: UpstreamResponse, answer: Answer) -> None:
    """Charge an answer that shows our credential; neither agent nor record may see it."""
    provider = call.leg.provider.name
    _shown(call, provider)
    call.settle(
        Status.UPSTREAM_ERROR,
        Billing.ANSWERED,
        http_status=upstream.status,
        error=SECRET_SHOWN,
        answer=Answer(usage=answer.usage),
    )
    call.refuse(reasons.secret_shown(provider))
    call.end()


def _shown(call: Call, provider: str) -> None:
    _LOG.error("provider showed our credential", extra={"provider": provider})
    detail = {"provider": provider, "action": call.ticket.action}
    call.means.path.findings.found(call.ticket.live, SECRET_SHOWN, detail)


def _cut_whole(call: Call, upstream: UpstreamResponse, answer: Answer, why: Reason) -> None:
    """Charge an answer that is too long for the agent, and end its invocation like a stream's."""
    call.settle(
        Status.CUT,
        Billing.ANSWERED,
        http_status=upstream.status,
        error=why.code.value,
        answer=answer,
    )
    call.means.path.stop_invocation(call.ticket.live, why)
    call.refuse(why)
    call.end()


def _raise_or_fail(call: Call, error: Exception) -> None:
    """An answer broke off: the provider's doing, or a fault of ours."""
    if not isinstance(error, RingfenceError):
        raise error
    call.provider_failed(error)


def _check_head(upstream: UpstreamResponse) -> None:
    """Raise PeerError `provider_malformed` for an answer that cannot be read or governed.

    A redirect would lead the agent past the plane. We ask for no content encoding, and what comes
    encoded all the same could be neither counted nor cut.
    """
    if upstream.status not in _ANSWERS:
        what = f"the provider answered with status {upstream.status}"
        raise PeerError("provider_malformed", what)
    for name, value in upstream.headers:
        if name == b"content-encoding" and value.strip().lower() != b"identity":
            raise PeerError("provider_malformed", "the provider's answer is encoded")


def _is_plain_json(call: Call, upstream: UpstreamResponse) -> bool:
    """Whether a provider answered a request for a stream with one whole document.

    Gemini streams a JSON array unless `alt=sse` was asked for, so there it says nothing.
    """
    if call.ask.endpoint.dialect is Dialect.GEMINI:
        return False
    kinds = [value for name, value in upstream.headers if name == b"content-type"]
    return any(kind.lower().startswith(b"application/json") for kind in kinds)

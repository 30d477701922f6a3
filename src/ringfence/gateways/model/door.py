"""One model call from request to answer."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

import msgspec

from ringfence.decisions import reason as reasons
from ringfence.decisions.settlement import Billing, billing_of_refusal, may_try_next
from ringfence.domain.error import PeerError, RingfenceError, UnavailableError, UnsentError
from ringfence.domain.event import Attempt, Status
from ringfence.domain.exchange import Answer, ModelRequest
from ringfence.domain.model import Dialect, OutputLimitField
from ringfence.domain.verdict import Code, Deny, Reason, Refused, Throttle
from ringfence.enforcement.allowance import Allowance, Hold
from ringfence.enforcement.authority import LAPSED, Authority
from ringfence.enforcement.credential import CredentialScan, StreamScan
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.dispatch import Dispatcher
from ringfence.enforcement.lack import Lacking
from ringfence.enforcement.live import state_reason
from ringfence.enforcement.model_call import Knock, ModelPath
from ringfence.enforcement.refusal import INTERNAL, Attempted, RefusedAction
from ringfence.enforcement.route import Leg
from ringfence.enforcement.ticket import Ending, Ticket
from ringfence.gateways.answer import answer_refusal, client_of, own_headers
from ringfence.gateways.model import upstream as wire
from ringfence.gateways.model.buffer import read_answer, read_request, send_whole
from ringfence.gateways.model.endpoint import Endpoint
from ringfence.gateways.model.relay import KEPT_BYTES_MAX, Inspect, StreamRelay
from ringfence.protocols import headers as passing
from ringfence.protocols.chat import ChatCodec
from ringfence.protocols.dialect import Codec
from ringfence.transport.clock import Clock
from ringfence.transport.http import Request, Response, UpstreamResponse

_LOG = logging.getLogger(__name__)

_NO_ANSWER: Final = Answer()
_CREDENTIAL_SHOWN: Final = "credential_shown"
_ERROR_BYTES_MAX: Final = 1024 * 1024
_ANSWERS: Final = range(200, 300)
_STEP_BYTES: Final = 64 * 1024
_FIRST_ERROR: Final = 400
_OUR_CREDENTIAL: Final = frozenset({401, 403})


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorLimits:
    """What one call may take of the plane's memory and patience."""

    request_bytes: int = 32 * 1024 * 1024
    answer_bytes: int = 64 * 1024 * 1024
    drain_s: float = 60.0
    """How long a stream is read on after its agent has left."""


class _Call(msgspec.Struct, kw_only=True):
    """One call on its way: what the parts of the door hand to each other."""

    request: Request
    response: Response
    endpoint: Endpoint
    codec: Codec
    caller: Caller
    ticket: Ticket
    attempts: list[Attempt]
    leg: Leg
    scan: CredentialScan
    hold: Hold
    task: asyncio.Task[None]
    relay: StreamRelay | None = None
    is_sent: bool = False
    """Whether a provider may have seen anything of it."""
    stopped: Reason | None = None

    def stop(self, why: Reason) -> None:
        """End it from outside: a stream in its own words, else by giving up the wait."""
        if self.relay is not None:
            self.relay.stop(why)
        elif self.stopped is None:
            self.stopped = why
            self.task.cancel()


class ModelDoor:
    """Translates between four dialects and the enforcement path; decides nothing itself."""

    def __init__(  # noqa: PLR0913 (the parts that the door joins)
        self,
        *,
        path: ModelPath,
        dispatcher: Dispatcher,
        codecs: Mapping[Dialect, Codec],
        clock: Clock,
        limits: DoorLimits | None = None,
        allowance: Allowance | None = None,
        authority: Authority | None = None,
    ) -> None:
        """One door serves every request of a worker."""
        self._path = path
        self._dispatcher = dispatcher
        self._codecs = codecs
        self._older_chat: Codec = ChatCodec(limit_field="max_tokens")
        self._clock = clock
        self._limits = limits or DoorLimits()
        self._allowance = allowance or Allowance()
        self._authority = authority or Authority(clock)

    async def handle(
        self,
        caller: Caller,
        endpoint: Endpoint,
        request: Request,
        response: Response,
        hints: tuple[tuple[str, str], ...],
    ) -> None:
        """Answer one request of a caller who is known."""
        hold = self._allowance.enter(caller)
        if isinstance(hold, Throttle):
            self._turn_away(caller, endpoint, request, response, hold)
            return
        try:
            await self._handle(caller, endpoint, request, response, hints, hold)
        finally:
            hold.leave()

    async def _handle(  # noqa: PLR0913, PLR0917 (one request has these parts)
        self,
        caller: Caller,
        endpoint: Endpoint,
        request: Request,
        response: Response,
        hints: tuple[tuple[str, str], ...],
        hold: Hold,
    ) -> None:
        codec = self._codecs[endpoint.dialect]
        client = client_of(request.headers)
        try:
            body = await read_request(request, self._limits.request_bytes, hold)
            if isinstance(body, Throttle):
                self._turn_away(caller, endpoint, request, response, body)
                return
            query = passing.query_to_provider(
                request.query, endpoint.dialect, is_stream=endpoint.path_stream
            )
            asked = codec.parse(
                body, path_model=endpoint.path_model, path_stream=endpoint.path_stream
            )
        except PeerError as error:
            self._turn_away(caller, endpoint, request, response, Deny(reason=reason_of(error)))
            return
        knock = Knock(
            caller=caller, request=asked, protocol=endpoint.protocol, hints=hints, client=client
        )
        begun = self._path.begin(knock)
        if isinstance(begun, Lacking):
            begun = await self._path.supply(knock, begun)
        if isinstance(begun, RefusedAction):
            answer_refusal(request, response, endpoint.dialect, begun)
            return
        unmade = await self._path.make_durable(begun)
        if unmade is not None:
            answer_refusal(request, response, endpoint.dialect, unmade)
            return
        call = _Call(
            request=request,
            response=response,
            endpoint=endpoint,
            codec=codec,
            caller=caller,
            ticket=begun,
            attempts=[],
            leg=begun.route.legs[0],
            scan=self._dispatcher.credential_scan(begun.route.legs[0]),
            hold=hold,
            task=cast("asyncio.Task[None]", asyncio.current_task()),
        )
        begun.on_stop = call.stop
        try:
            await self._dispatch(call, asked, query)
        except asyncio.CancelledError:
            if call.stopped is None or call.task.uncancel():
                raise
            self._give_up(call, Status.CUT, call.stopped)
        except Exception:  # noqa: BLE001 (INVARIANT I4: what is unexpected denies)
            _LOG.exception("a call failed unexpectedly")
            self._give_up(call, Status.FAILED, INTERNAL)
        finally:
            # INVARIANT (I3): whatever ended this task, the intent gets its outcome.
            self._settle(call, Status.FAILED, _unknown(call), error="interrupted")

    def _turn_away(
        self,
        caller: Caller,
        endpoint: Endpoint,
        request: Request,
        response: Response,
        verdict: Refused,
    ) -> None:
        """Refuse what has not been read, on the record."""
        attempted = Attempted(operation=endpoint.dialect.value, client=client_of(request.headers))
        refused = self._path.refuse(caller, verdict, attempted)
        answer_refusal(request, response, endpoint.dialect, refused)

    async def _dispatch(self, call: _Call, asked: ModelRequest, query: bytes) -> None:
        """Try the legs of the route in order, before the first byte has reached the agent."""
        legs = call.ticket.route.legs
        for leg in legs:
            why = await self._withheld(call)
            if why is not None:
                self._give_up(call, Status.CUT, why)
                return
            call.leg = leg
            call.scan = self._dispatcher.credential_scan(leg)
            started_us = self._clock.monotonic_us()
            error: RingfenceError | None = None
            upstream: UpstreamResponse | None = None
            try:
                upstream = await self._send(call, leg, asked, query)
            except (UnavailableError, PeerError) as caught:
                error = caught
            status = upstream.status if upstream is not None else 0
            call.attempts.append(
                Attempt(
                    provider=leg.provider.name,
                    upstream=leg.model.upstream,
                    status=status,
                    error=error.code if error is not None else "",
                    duration_us=self._clock.monotonic_us() - started_us,
                )
            )
            is_last = leg is legs[-1]
            if upstream is not None:
                if may_try_next(status) and not is_last:
                    upstream.close()
                    continue
                await self._relay(call, upstream, asked)
                return
            if error is not None and (is_last or not isinstance(error, UnsentError)):
                self._provider_failed(call, error)
                return

    async def _send(
        self, call: _Call, leg: Leg, asked: ModelRequest, query: bytes
    ) -> UpstreamResponse:
        body = self._rewriter(call, leg).rewrite(
            asked,
            model=leg.model.upstream,
            output_limit=call.ticket.output.written,
            inject_usage=asked.stream,
        )
        target = wire.target(
            leg.base_path, call.endpoint, leg.provider, leg.model.upstream, query.decode()
        )
        passed = passing.to_provider(
            call.request.headers, call.endpoint.protocol, leg.provider.betas
        )
        call.is_sent = True
        return await self._dispatcher.send(leg, target, passed, body)

    def _rewriter(self, call: _Call, leg: Leg) -> Codec:
        """The codec that writes a request in the words this provider knows."""
        is_older = leg.provider.output_limit_field is OutputLimitField.MAX_TOKENS
        if call.endpoint.dialect is Dialect.CHAT and is_older:
            return self._older_chat
        return call.codec

    async def _relay(self, call: _Call, upstream: UpstreamResponse, asked: ModelRequest) -> None:
        try:
            if upstream.status >= _FIRST_ERROR:
                await self._relay_error(call, upstream)
                return
            _check_head(upstream)
            why = await self._withheld(call)
            if why is not None:
                self._give_up(call, Status.CUT, why)
                return
            if asked.stream and not _is_plain_json(call, upstream):
                await self._relay_stream(call, upstream, asked)
            else:
                await self._relay_whole(call, upstream)
        except PeerError as error:
            self._provider_failed(call, error)
        finally:
            upstream.close()

    async def _relay_whole(self, call: _Call, upstream: UpstreamResponse) -> None:
        """Read the whole answer, settle it, then pass it on."""
        try:
            body = await read_answer(upstream, self._limits.answer_bytes, call.hold)
            if isinstance(body, Throttle):
                self._give_up(call, Status.FAILED, body.reason)
                return
            first_byte_us = self._clock.monotonic_us()
            answer = call.codec.read(body)
        except (PeerError, UnavailableError) as error:
            self._provider_failed(call, error)
            return
        if call.scan.finds(body):
            self._withhold(call, upstream, answer)
            return
        gone = call.response.is_disconnected
        self._settle(
            call,
            Status.CLIENT_GONE if gone else Status.OK,
            Billing.ANSWERED,
            http_status=upstream.status,
            answer=answer,
            body=body,
            first_byte_us=first_byte_us,
        )
        if gone:
            return
        why = await self._withheld(call)
        if why is not None:
            self._refuse(call, why, is_charged=True)
            return

        async def may_go_on() -> bool:
            return await self._withheld(call) is None

        headers = self._headers(call, upstream)
        await send_whole(call.response, upstream.status, headers, body, may_go_on)

    async def _relay_error(self, call: _Call, upstream: UpstreamResponse) -> None:
        """Pass a provider's error on; not one about our credential, which could show the key."""
        status = upstream.status
        unread: RingfenceError | None = None
        try:
            body = await upstream.read(_ERROR_BYTES_MAX)
        except (PeerError, UnavailableError) as error:
            body, unread = b"", error
        if status in _OUR_CREDENTIAL or call.scan.finds(body):
            _LOG.error(
                "provider refused our credential",
                extra={"provider": call.leg.provider.name, "status": status},
            )
            self._settle(
                call,
                Status.UPSTREAM_ERROR,
                Billing.NONE,
                http_status=status,
                error="provider_credential",
            )
            self._refuse(call, reasons.provider_credential(call.leg.provider.name, status))
            return
        self._settle(
            call,
            Status.UPSTREAM_ERROR,
            billing_of_refusal(status),
            http_status=status,
            error=f"http_{status}",
            body=body,
        )
        if call.response.is_disconnected:
            return
        if unread is not None:
            cause = f"it refused the call with status {status}, and {unread.message}"
            provider = call.leg.provider.name
            self._refuse(
                call, reasons.provider_failed(provider, Code.PROVIDER_MALFORMED.value, cause)
            )
            return
        why = await self._withheld(call)
        if why is not None:
            self._refuse(call, why)
            return
        call.response.send(status, self._headers(call, upstream), body)

    async def _withheld(self, call: _Call) -> Reason | None:
        """Why nothing may be done or said for this agent now; waits if authority has run out."""
        if not self._authority.is_fresh and not await self._authority.renewed():
            return LAPSED
        return state_reason(call.caller.runtime)

    async def _relay_stream(
        self, call: _Call, upstream: UpstreamResponse, asked: ModelRequest
    ) -> None:
        call.response.start(upstream.status, self._headers(call, upstream))
        reader = call.codec.stream(asked)
        relay = StreamRelay(
            upstream=upstream,
            response=call.response,
            reader=reader,
            codec=call.codec,
            guard=call.ticket.guard,
            inspect=self._inspector(call),
            clock=self._clock,
            authority=self._authority,
            drain_s=self._limits.drain_s,
        )
        call.relay = relay
        passage = await relay.run()
        answer = reader.answer()
        if passage.stop is not None and passage.stop.code is Code.PROVIDER_MALFORMED:
            answer = Answer(usage=answer.usage)  # its other words may show the credential too
        known = answer.usage is not None and reader.is_complete
        whole = passage.status is Status.OK or (passage.status is Status.CLIENT_GONE and known)
        self._settle(
            call,
            passage.status,
            Billing.ANSWERED if whole else Billing.UNCERTAIN,
            http_status=upstream.status,
            error=passage.error,
            answer=answer,
            body=passage.body,
            first_byte_us=passage.first_byte_us,
        )
        if passage.stop is not None:
            self._path.stop_invocation(call.ticket.live, passage.stop)

    def _inspector(self, call: _Call) -> Inspect:
        """Looks for the provider's credential in a stream; what shows it is never forwarded.

        What the relay keeps of the stream is held in steps, so that most pieces cost nothing.
        """
        stream = StreamScan(call.scan)
        provider = call.leg.provider.name
        hold = call.hold
        passed = held = 0

        def inspect(data: bytes) -> Reason | None:
            nonlocal passed, held
            passed += len(data)
            if passed > held and held < KEPT_BYTES_MAX:
                step = max(_STEP_BYTES, passed - held)
                full = hold.take(step)
                if full is not None:
                    return full.reason
                held += step
            if not stream.finds(data):
                return None
            _LOG.error("provider showed our credential", extra={"provider": provider})
            return reasons.credential_shown(provider)

        return inspect

    def _withhold(self, call: _Call, upstream: UpstreamResponse, answer: Answer) -> None:
        """Charge an answer that shows our credential; neither agent nor record may see it."""
        provider = call.leg.provider.name
        _LOG.error("provider showed our credential", extra={"provider": provider})
        self._settle(
            call,
            Status.UPSTREAM_ERROR,
            Billing.ANSWERED,
            http_status=upstream.status,
            error=_CREDENTIAL_SHOWN,
            answer=Answer(usage=answer.usage),
        )
        if not call.response.is_disconnected:
            self._refuse(call, reasons.credential_shown(provider), is_charged=True)

    def _give_up(self, call: _Call, status: Status, why: Reason) -> None:
        """End a call that was stopped from outside, or by a fault of ours."""
        self._settle(call, status, _unknown(call), error=why.code.value)
        if call.response.is_started:
            call.response.abort()
        else:
            self._refuse(call, why, is_charged=call.is_sent)

    def _provider_failed(self, call: _Call, error: RingfenceError) -> None:
        """Say that the provider failed; charge the reservation unless nothing was sent."""
        unsent = isinstance(error, UnsentError)
        self._settle(
            call,
            Status.FAILED,
            Billing.NONE if unsent else Billing.UNCERTAIN,
            error=error.code,
        )
        if call.response.is_disconnected:
            return
        self._refuse(
            call,
            reasons.provider_failed(call.leg.provider.name, error.code, error.message),
            is_charged=not unsent,
        )

    def _refuse(self, call: _Call, why: Reason, *, is_charged: bool = False) -> None:
        refused = RefusedAction(
            verdict=Deny(reason=why), action=call.ticket.action, invocation=call.ticket.live.id
        )
        dialect = call.endpoint.dialect
        answer_refusal(call.request, call.response, dialect, refused, is_charged=is_charged)

    def _settle(  # noqa: PLR0913 (an ending has these parts)
        self,
        call: _Call,
        status: Status,
        billing: Billing,
        *,
        http_status: int = 0,
        error: str = "",
        answer: Answer = _NO_ANSWER,
        body: bytes = b"",
        first_byte_us: int = 0,
    ) -> None:
        if not call.ticket.is_open:
            return
        call.ticket.settle(
            Ending(
                status=status,
                billing=billing,
                leg=call.leg,
                http_status=http_status,
                error=error,
                answer=answer,
                body=body if len(body) <= KEPT_BYTES_MAX else body[:KEPT_BYTES_MAX],
                attempts=call.attempts,
                first_byte_us=first_byte_us,
            )
        )

    def _headers(self, call: _Call, upstream: UpstreamResponse) -> list[tuple[bytes, bytes]]:
        ticket = call.ticket
        ours = own_headers(ticket.live.id, ticket.action)
        if ticket.output.obligations:
            limit = f"{ticket.output.tokens}; {ticket.output.lowered_by}"
            ours.append((b"ringfence-output-limit", limit.encode()))
        passed = passing.to_client(upstream.headers)
        if call.scan.finds(b"\n".join(value for _, value in passed)):
            _LOG.error("provider showed our credential", extra={"provider": call.leg.provider.name})
            passed = [header for header in passed if not call.scan.finds(header[1])]
        return [*passed, *ours]


def reason_of(error: PeerError) -> Reason:
    """A peer's mistake as a reason."""
    return Reason(
        code=Code(error.code),
        message=f"Ringfence refused this request: {error.message}.",
    )


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


def _unknown(call: _Call) -> Billing:
    """What is known of a provider's work on a call that ended early."""
    return Billing.UNCERTAIN if call.is_sent else Billing.NONE


def _is_plain_json(call: _Call, upstream: UpstreamResponse) -> bool:
    """Whether a provider answered a request for a stream with one whole document.

    Gemini streams a JSON array unless `alt=sse` was asked for, so there it says nothing.
    """
    if call.endpoint.dialect is Dialect.GEMINI:
        return False
    kinds = [value for name, value in upstream.headers if name == b"content-type"]
    return any(kind.lower().startswith(b"application/json") for kind in kinds)

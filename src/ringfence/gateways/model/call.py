"""One model call on its way, from its intent to its settlement.

No task carries it: what the call waits for (the ledger, its provider, the agent's connection) calls
the next step, so that a call of the usual kind takes four steps and no switch between tasks.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

from ringfence.decisions import reason as reasons
from ringfence.decisions.settlement import Billing, may_try_next
from ringfence.domain.error import PeerError, RingfenceError, UnavailableError, UnsentError
from ringfence.domain.event import Attempt, Status
from ringfence.domain.exchange import Answer, ModelRequest
from ringfence.domain.model import Dialect, OutputLimitField
from ringfence.domain.verdict import Code, Deny, Reason
from ringfence.enforcement.authority import SHUTTING_DOWN, Authority
from ringfence.enforcement.dispatch import Dispatch, Dispatcher
from ringfence.enforcement.model_call import ModelPath
from ringfence.enforcement.refusal import INTERNAL, RefusedAction
from ringfence.enforcement.route import Leg
from ringfence.enforcement.ticket import Ending, Ticket
from ringfence.gateways.answer import answer_refusal, own_headers
from ringfence.gateways.carried import CarriedCall
from ringfence.gateways.model import upstream as wire
from ringfence.gateways.model.ask import Ask, DoorLimits
from ringfence.gateways.model.relay import KEPT_BYTES_MAX, StreamRelay
from ringfence.protocols import headers as passing
from ringfence.protocols.chat import ChatCodec
from ringfence.protocols.dialect import Codec
from ringfence.transport.clock import Clock
from ringfence.transport.http import Exchange, UpstreamResponse

_LOG = logging.getLogger(__name__)

_MEMO_MOST: Final = 16
"""Reloads bring new legs; what the old ones left behind goes."""
_NO_ANSWER: Final = Answer()
_FIRST_ERROR: Final = 400
_SECOND_US: Final = 1_000_000
_OLDER_CHAT: Final = ChatCodec(limit_field="max_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What all calls of one door use. `pass_on` gives a call's answer to its agent."""

    path: ModelPath
    dispatcher: Dispatcher
    clock: Clock
    limits: DoorLimits
    authority: Authority
    pass_on: "Callable[[Call, UpstreamResponse], None]"


@final
class Call(CarriedCall):
    """One call. Implements `transport.http.Taker` too."""

    __slots__ = (
        "_exchange",
        "_is_charged",
        "_is_probe",
        "_is_sent",
        "_query",
        "_sent_us",
        "ask",
        "asked",
        "attempts",
        "codec",
        "leg",
        "means",
        "relay",
        "response",
        "scan",
        "upstream",
    )

    ticket: Ticket

    def __init__(
        self,
        means: Means,
        ask: Ask,
        codec: Codec,
        query: bytes,
        ticket: Ticket,
    ) -> None:
        """Begun: the intent is on its way to the ledger. `query` passed the allow-list."""
        super().__init__(means.authority, ticket)
        self.means = means
        self.ask = ask
        self.response = ask.response
        self.codec = codec
        self.asked: ModelRequest = ticket.sent
        self.leg: Leg = ticket.route.legs[0]
        self.scan = means.dispatcher.credential_scan(self.leg)
        self.attempts: list[Attempt] = []
        self.upstream: UpstreamResponse | None = None
        self.relay: StreamRelay | None = None
        self._query = query
        self._exchange: Exchange | None = None
        self._sent_us = 0
        self._is_sent = False
        self._is_charged = False
        self._is_probe = False

    # From outside

    def stop(self, why: Reason) -> None:
        """End it from outside: a stream in its own words, else by giving up the wait."""
        if self.relay is not None:
            self.relay.stop(why)
        elif not self.is_over:
            self.withhold(why)

    def check(self, now_us: int) -> None:
        """End what has taken too long. A stream's pauses and connecting are the engine's matter."""
        if self.is_over or self._is_cancelled:
            return
        provider, ticket = self.leg.provider, self.ticket
        if not ticket.durable.done():
            if now_us - ticket.started_us > self.means.limits.intent_s * _SECOND_US:
                self._is_cancelled = True  # the intent may still be written, and then needs its end
                self.refuse(reasons.intent_late(self.means.limits.intent_s))
        elif self._exchange is not None:
            if now_us - self._sent_us > provider.head_timeout_s * _SECOND_US:
                self._late(f"its answer did not begin within {provider.head_timeout_s:g} seconds")
        elif now_us - ticket.started_us > provider.total_timeout_s * _SECOND_US:
            self._late(f"its answer took longer than {provider.total_timeout_s:g} seconds")

    def _late(self, what: str) -> None:
        error = UnavailableError(Code.PROVIDER_TIMEOUT, what)
        if self.relay is not None:
            name = self.leg.provider.name
            self.relay.stop(reasons.provider_failed(name, error.code, error.message))
            return
        is_begun = self.upstream is not None
        self._drop()
        self.take(self.provider_failed if is_begun else self._failed, error)

    # Its steps

    def forsake(self) -> None:
        """Its intent is durable, and nobody wants it any more."""
        self.means.path.forsake(self.ticket)
        if self.response.is_started:  # it was told that the ledger is late
            self.end()
        else:
            self.withhold(SHUTTING_DOWN)

    def dispatch(self) -> None:
        """Its intent is durable, or could not be written."""
        refused = self.means.path.written(self.ticket)
        if refused is not None:
            answer_refusal(self.ask.request, self.response, self.ask.endpoint.dialect, refused)
            self.end()
            return
        self.ticket.on_stop = self.stop
        self.act(self._send)

    def _send(self) -> None:
        """Send the request to the leg whose turn it is."""
        means, leg = self.means, self.leg
        self._sent_us = means.clock.monotonic_us()
        watch = means.path.watch
        try:
            dispatch = self._prepared()
            if not watch.is_idle:
                self._is_probe = watch.depart(self.ticket, leg)
        except UnsentError as error:
            self._unanswered(error)
            return
        body = self._rewriter().rewrite(
            self.asked,
            model=leg.model.upstream,
            output_limit=self.ticket.output.written,
            inject_usage=self.asked.stream,
        )
        self._is_sent = True
        self._exchange = means.dispatcher.send(dispatch, body, self)

    def _prepared(self) -> Dispatch:
        """The head of the request to this leg; kept where the agent repeats its own head."""
        dispatcher, leg, memo = self.means.dispatcher, self.leg, self.ask.request.memo
        known = None if memo is None else memo.get(leg)
        if isinstance(known, Dispatch) and dispatcher.is_current(known):
            return known
        endpoint, provider = self.ask.endpoint, leg.provider
        target = wire.target(leg.base_path, endpoint, provider, leg.model.upstream, self._query)
        passed = passing.to_provider(self.ask.request.headers, endpoint.protocol, provider.betas)
        made = dispatcher.prepare(leg, target, passed)
        if memo is not None:
            if len(memo) >= _MEMO_MOST:
                memo.clear()
            memo[leg] = made
        return made

    def answered(self, upstream: UpstreamResponse) -> None:
        """A provider answers: pass that on, or try the next leg."""
        self._exchange = None
        self.upstream = upstream
        self.take(self._answered, upstream)

    def _answered(self, upstream: UpstreamResponse) -> None:
        self._note_attempt(upstream.status, "")
        watch = self.means.path.watch
        if upstream.status >= _FIRST_ERROR or not watch.is_idle:
            watch.answered(self.ticket, self.leg, upstream, is_probe=self._is_probe)
            self._is_probe = False
        if may_try_next(upstream.status) and self._has_next():
            upstream.close()
            self._try_next()
        else:
            self.act(self.means.pass_on, self, upstream)

    def unanswered(self, error: Exception) -> None:
        """A provider gives no answer: try the next leg if it has surely seen nothing."""
        self._exchange = None
        self.take(self._failed, error)

    def _failed(self, error: Exception) -> None:
        if not isinstance(error, RingfenceError):
            raise error
        self.means.path.watch.unanswered(self.ticket, self.leg, error, is_probe=self._is_probe)
        self._is_probe = False
        self._unanswered(error)

    def _unanswered(self, error: RingfenceError) -> None:
        self._note_attempt(0, error.code)
        if isinstance(error, UnsentError) and self._has_next():
            self._try_next()
        else:
            self.provider_failed(error)

    def take(self, step: Callable[..., None], *facts: object) -> None:
        """Take a step; whatever it raises ends the call."""
        try:
            step(*facts)
        except PeerError as error:
            self.provider_failed(error)
        except Exception:  # noqa: BLE001 (INVARIANT I4: what is unexpected denies)
            _LOG.exception("a call failed unexpectedly")
            self._drop()
            self.give_up(Status.FAILED, INTERNAL)

    def withhold(self, why: Reason) -> None:
        """End it: nothing more may be done for its agent."""
        self._drop()
        self.give_up(Status.CUT, why)

    # Its legs

    def _has_next(self) -> bool:
        return self.leg is not self.ticket.route.legs[-1]

    def _try_next(self) -> None:
        legs = self.ticket.route.legs
        self.upstream = None
        self.leg = legs[len(self.attempts)]
        self.scan = self.means.dispatcher.credential_scan(self.leg)
        self.act(self._turn)

    def _turn(self) -> None:
        """Give up the places at the last leg for those at this one."""
        self._sent_us = self.means.clock.monotonic_us()
        try:
            moving = self.means.path.watch.move(self.ticket, self.leg)
        except UnsentError as error:
            self._unanswered(error)
            return
        if moving is None:
            self._send()
        else:
            moving.add_done_callback(lambda done: self.take(self._turned, done))

    def _turned(self, moving: asyncio.Future[None]) -> None:
        error = moving.exception()
        if self.is_over or not self.ticket.is_open:
            return
        if error is None:
            self.act(self._send)
        elif isinstance(error, UnsentError):
            self._unanswered(error)
        else:
            raise error

    def _note_attempt(self, status: int, error: str) -> None:
        self.attempts.append(
            Attempt(
                provider=self.leg.provider.name,
                upstream=self.leg.model.upstream,
                status=status,
                error=error,
                duration_us=self.means.clock.monotonic_us() - self._sent_us,
            )
        )

    def _rewriter(self) -> Codec:
        """The codec that writes a request in the words this provider knows."""
        is_older = self.leg.provider.output_limit_field is OutputLimitField.MAX_TOKENS
        if is_older and self.ask.endpoint.dialect is Dialect.CHAT:
            return _OLDER_CHAT
        return self.codec

    # Its end

    def settle(  # noqa: PLR0913 (an ending has these parts)
        self,
        status: Status,
        billing: Billing,
        *,
        http_status: int = 0,
        error: str = "",
        answer: Answer = _NO_ANSWER,
        body: bytes = b"",
        first_byte_us: int = 0,
    ) -> None:
        """Say how it ended and what is known of its price; only the first time counts."""
        if self.ticket.is_open:
            self._is_charged = billing is not Billing.NONE
            self.ticket.settle(
                Ending(
                    status=status,
                    billing=billing,
                    leg=self.leg,
                    http_status=http_status,
                    error=error,
                    answer=answer,
                    body=body if len(body) <= KEPT_BYTES_MAX else body[:KEPT_BYTES_MAX],
                    attempts=self.attempts,
                    first_byte_us=first_byte_us,
                )
            )

    def refuse(self, why: Reason) -> None:
        """Put a refusal to the agent in place of an answer; an answer that has begun is cut."""
        if self.response.is_started:
            self.response.abort()
            return
        ticket, ask = self.ticket, self.ask
        refused = RefusedAction(
            verdict=Deny(reason=why), action=ticket.action, invocation=ticket.live.id
        )
        dialect, is_charged = ask.endpoint.dialect, self._is_charged
        answer_refusal(ask.request, self.response, dialect, refused, is_charged=is_charged)

    def give_up(self, status: Status, why: Reason) -> None:
        """End a call that was stopped from outside, or by a fault of ours."""
        self.settle(status, self._unknown(), error=why.code.value)
        self.refuse(why)
        self.end()

    def provider_failed(self, error: RingfenceError) -> None:
        """Say that the provider failed; charge the reservation unless nothing was sent."""
        self._drop()
        unsent = isinstance(error, UnsentError)
        billing = Billing.NONE if unsent else Billing.UNCERTAIN
        self.settle(Status.FAILED, billing, error=error.code)
        why = reasons.provider_failed(self.leg.provider.name, error.code, error.message)
        self.refuse(why)
        self.end()

    def end(self) -> None:
        """Nothing more will happen; harmless a second time."""
        if self.is_over:
            return
        self.is_over = True
        self.settle(Status.FAILED, self._unknown(), error="interrupted")
        self.relay = self.upstream = None  # they lead back here: no cycle may keep bodies alive
        self.ask.portion.leave()
        self.told()

    def _drop(self) -> None:
        """Wait for nothing any more."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.abandon(self)
        if self._is_probe:
            self._is_probe = False
            self.means.path.watch.lapsed(self.ticket, self.leg)
        relay, self.relay = self.relay, None
        if relay is not None:
            relay.abandon()
        if self.upstream is not None:
            self.upstream.close()

    def _unknown(self) -> Billing:
        """What is known of a provider's work on a call that ended early."""
        return Billing.UNCERTAIN if self._is_sent else Billing.NONE

    def headers(self, upstream: UpstreamResponse) -> list[tuple[bytes, bytes]]:
        """The headers of the answer: those of the provider's that pass, and our own."""
        ticket = self.ticket
        ours = own_headers(ticket.live.id, ticket.action)
        if ticket.output.obligations:
            limit = f"{ticket.output.tokens}; {ticket.output.lowered_by}"
            ours.append((b"ringfence-output-limit", limit.encode()))
        passed = passing.to_client(upstream.headers)
        if self.scan.finds(b"\n".join([value for _, value in passed])):
            _LOG.error("provider showed our credential", extra={"provider": self.leg.provider.name})
            passed = [header for header in passed if not self.scan.finds(header[1])]
        return [*passed, *ours]

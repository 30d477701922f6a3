"""One request on its way out, from its intent to its end; no task carries it.

What it waits for (the ledger, the host, the client's connection) calls the next step, as in the
model gateway (design note 007).
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, final

import msgspec

from ringfence.decisions import reason as reasons
from ringfence.domain.egress import EgressRules
from ringfence.domain.error import PeerError, RingfenceError, UnavailableError
from ringfence.domain.event import Status
from ringfence.domain.verdict import Code, Deny, Reason
from ringfence.enforcement.authority import SHUTTING_DOWN
from ringfence.enforcement.credential_injection import Filling, Injection
from ringfence.enforcement.http_ticket import HttpEnding, HttpTicket
from ringfence.enforcement.refusal import INTERNAL, RefusedAction
from ringfence.gateways.carried import CarriedCall
from ringfence.gateways.egress import refusing
from ringfence.gateways.egress.place import Place
from ringfence.gateways.egress.relay import AnswerRelay
from ringfence.gateways.egress.request import shared_memo
from ringfence.protocols.forwarding import onward
from ringfence.transport.client import PreparedRequest
from ringfence.transport.http import (
    Exchange,
    Headers,
    Origin,
    Request,
    Response,
    UpstreamResponse,
)
from ringfence.transport.upload import Upload

_LOG = logging.getLogger(__name__)

_SECOND_US: Final = 1_000_000
_SENT: Final = "sent"
"""The place in a request's memo of what went out for it."""


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """What goes out: `target` is path and query, `body` all of it or what is still coming."""

    request: Request
    response: Response
    target: bytes
    origin: Origin
    body: bytes | Upload


class _Sent(msgspec.Struct, frozen=True):
    """The head of a request that went out, and all that it was written from but for its lines."""

    prepared: PreparedRequest
    filling: Filling | None
    rules: EgressRules


def _sent(
    memo: dict[object, object], filling: Filling | None, rules: EgressRules
) -> PreparedRequest | None:
    """The head that is kept there, if it was written from these."""
    known = memo.get(_SENT)
    if isinstance(known, _Sent) and known.filling is filling and known.rules is rules:
        return known.prepared
    return None


@final
class Call(CarriedCall):
    """Implements `transport.http.Taker` too."""

    __slots__ = (
        "_exchange",
        "_fresh",
        "_relay",
        "address",
        "first_byte_us",
        "out",
        "place",
        "received_bytes",
        "response",
        "sent_bytes",
        "upstream",
    )

    ticket: HttpTicket

    def __init__(self, place: Place, out: Outgoing, ticket: HttpTicket) -> None:
        """Begun: the intent is on its way to the ledger."""
        super().__init__(place.means.authority, ticket)
        self.place = place
        self.out = out
        self.response = out.response
        self.upstream: UpstreamResponse | None = None
        self.address = ""
        self.sent_bytes = 0
        self.received_bytes = 0
        self.first_byte_us = 0
        self._exchange: Exchange | None = None
        self._fresh: asyncio.Task[None] | None = None
        self._relay: AnswerRelay | None = None

    # From outside

    def stop(self, why: Reason) -> None:
        """End it from outside."""
        if not self.is_over:
            self.refuse(Status.CUT, why)

    def check(self, now_us: int) -> None:
        """End what has taken too long; pauses and connecting are the engine's matter."""
        if self.is_over or self._is_cancelled:
            return
        ticket, limits = self.ticket, self.place.means.limits
        took_us = now_us - ticket.started_us
        if not ticket.durable.done():
            if took_us > limits.intent_s * _SECOND_US:
                self._is_cancelled = True  # it may still be written, and then needs its end
                self._answer(reasons.intent_late(limits.intent_s))
        elif took_us > self.place.rules.total_timeout_s * _SECOND_US:
            words = f"its answer took longer than {self.place.rules.total_timeout_s:g} seconds"
            self.failed(UnavailableError(Code.PROVIDER_TIMEOUT, words))

    # Its steps

    def forsake(self) -> None:
        """Its intent is durable, and nobody wants it any more."""
        self.place.means.path.forsake(self.ticket)
        if not self.response.is_started:
            self._answer(SHUTTING_DOWN)
        self.end()

    def dispatch(self) -> None:
        """Its intent is durable, or could not be written."""
        refused = self.place.means.path.written(self.ticket)
        if refused is not None:
            refusing.answer(self.response, refused)
            self.end()
            return
        self.ticket.on_stop = self.stop
        self.response.on_disconnect(self._client_left)
        injection = self.ticket.injection
        if injection is not None and not self.place.means.path.injections.is_ready(injection):
            self._fresh = asyncio.get_running_loop().create_task(self._freshen(injection))
            return
        self.act(self._send)

    async def _freshen(self, injection: Injection) -> None:
        """Get what must be got for the request first."""
        try:
            await self.place.means.path.injections.fresh(injection)
        except UnavailableError as error:
            self.take(self.failed, error)
        except Exception:  # noqa: BLE001 (INVARIANT I4: what is unexpected denies)
            _LOG.exception("a credential could not be got")
            self.take(self.refuse, Status.FAILED, INTERNAL)
        else:
            self.go_on(self._send)

    def _send(self) -> None:
        """Send the request, with what belongs into it."""
        body = self.out.body
        if not isinstance(body, Upload):
            self.sent_bytes = len(body)
            if not self._has_room():
                return
        self._exchange = self.place.pool.send(self._prepared(), body, self)

    def _prepared(self) -> PreparedRequest:
        """The head of the request; kept where the agent repeats its own head, or its lines."""
        place, injection, memo = self.place, self.ticket.injection, self.out.request.memo
        rules, filling = place.rules, None
        if injection is not None:
            filling = place.means.path.injections.fill(injection, place.placeholders)
        if memo is None:
            return self._written_head(injection, rules)
        known = _sent(memo, filling, rules)
        if known is not None:
            return known
        shared = shared_memo(self.out.request)
        if shared is None:
            shared = memo
        known = _sent(shared, filling, rules)
        if known is not None:
            prepared = self._at_target(known, injection)
        else:
            prepared = self._written_head(injection, rules)
        memo[_SENT] = shared[_SENT] = _Sent(prepared, filling, rules)
        return prepared

    def _at_target(self, prepared: PreparedRequest, injection: Injection | None) -> PreparedRequest:
        """The same lines for this target."""
        target = self.out.target
        if injection is not None:
            target = self.place.means.path.injections.target(injection, target)
        try:
            return prepared.at(target)
        except ValueError as error:
            raise PeerError(Code.REQUEST_MALFORMED, str(error)) from error

    def _written_head(self, injection: Injection | None, rules: EgressRules) -> PreparedRequest:
        place, out, target = self.place, self.out, self.out.target
        headers: Headers = onward(out.request.headers)
        if injection is not None:
            injections = place.means.path.injections
            rewritten = injections.prepare(injection, headers, target, place.placeholders)
            headers, target = rewritten.headers, rewritten.target
        try:
            return place.pool.prepare(
                out.origin,
                out.request.method,
                target,
                headers,
                connect_timeout_s=rules.connect_timeout_s,
                idle_timeout_s=rules.idle_timeout_s,
            )
        except ValueError as error:
            raise PeerError(Code.REQUEST_MALFORMED, str(error)) from error

    def answered(self, upstream: UpstreamResponse) -> None:
        """The host answers."""
        self._exchange = None
        self.upstream = upstream
        self.take(self._answered, upstream)

    def _answered(self, upstream: UpstreamResponse) -> None:
        self.first_byte_us = self.place.means.clock.monotonic_us()
        self.address = upstream.address
        self.place.means.path.answered(self.ticket, upstream.status)
        self.act(self._pass_on, upstream)

    def _pass_on(self, upstream: UpstreamResponse) -> None:
        self._relay = AnswerRelay(self, upstream)
        self._relay.begin()

    def unanswered(self, error: Exception) -> None:
        """The host gives no answer."""
        self._exchange = None
        self.take(self._unanswered, error)

    def _unanswered(self, error: Exception) -> None:
        if not isinstance(error, RingfenceError):
            raise error
        if error.code != Code.DESTINATION_REFUSED:
            self.place.means.path.failed(self.ticket, error.code)
        self.failed(error)

    def take(self, step: Callable[..., None], *facts: object) -> None:
        """Take a step; whatever it raises ends the call."""
        if self.is_over:
            return
        try:
            step(*facts)
        except RingfenceError as error:
            self.failed(error)
        except Exception:  # noqa: BLE001 (INVARIANT I4: what is unexpected denies)
            _LOG.exception("a request through egress failed unexpectedly")
            self.refuse(Status.FAILED, INTERNAL)

    def withhold(self, why: Reason) -> None:
        """End it: nothing more may be done for its agent."""
        self.refuse(Status.CUT, why)

    # Its body, if it is still coming

    def sent(self, data: bytes) -> bool:
        """A piece of the body is about to go out; whether it may."""
        self.sent_bytes += len(data)
        return self._has_room()

    def received(self, data: bytes) -> bool:
        """A piece of the answer has come; whether it may pass."""
        self.received_bytes += len(data)
        return self._has_room()

    def _has_room(self) -> bool:
        allowed = self.ticket.allowed_bytes
        if self.sent_bytes + self.received_bytes <= allowed:
            return True
        agent = self.ticket.caller.runtime.agent
        self.refuse(Status.CUT, reasons.bytes_used_up(agent, allowed))
        return False

    # Its end

    def failed(self, error: RingfenceError) -> None:
        """The host failed, or could not be asked."""
        self.refuse(Status.FAILED, refusing.why_failed(self.ticket, error), error.code)

    def refuse(self, status: Status, why: Reason, error: str = "") -> None:
        """End it with a refusal; an answer that has begun is cut."""
        self.settle(status, error=error or why.code.value)
        self._answer(why)
        self.end()

    def _answer(self, why: Reason) -> None:
        ticket = self.ticket
        refused = RefusedAction(
            verdict=Deny(reason=why), action=ticket.action, invocation=ticket.live.id
        )
        refusing.answer(self.response, refused)

    def settle(
        self, status: Status, *, http_status: int = 0, error: str = "", body: bytes = b""
    ) -> None:
        """Say how it ended; only the first time counts."""
        if not self.ticket.is_open:
            return
        relay = self._relay
        redactions = {} if relay is None else relay.redactions()
        # However it ends: an answer that breaks off has shown what it has shown.
        for name, times in redactions.items():
            self.place.means.path.redacted(self.ticket, name, times)
        self.ticket.settle(
            HttpEnding(
                status=status,
                http_status=http_status or (self.upstream.status if self.upstream else 0),
                error=error,
                body=body or (relay.kept() if relay is not None else b""),
                address=self.address,
                sent_bytes=self.sent_bytes,
                received_bytes=self.received_bytes,
                redactions=sum(redactions.values()),
                first_byte_us=self.first_byte_us,
            )
        )

    def _client_left(self) -> None:
        if not self.is_over:
            self.settle(Status.CLIENT_GONE, error="client_gone")
            self.end()

    def end(self) -> None:
        """Nothing more will happen; harmless a second time."""
        if self.is_over:
            return
        if self.ticket.is_open:
            self.settle(Status.FAILED, error="interrupted")
        self.is_over = True
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.abandon(self)
        relay, self._relay = self._relay, None
        if relay is not None:
            relay.abandon()
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.close()
        if isinstance(self.out.body, Upload):
            self.out.body.stop()
        if self._fresh is not None:
            self._fresh.cancel()
            self._fresh = None
        self.told()

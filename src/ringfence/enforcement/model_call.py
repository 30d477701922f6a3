"""The path of one model call to a durable intent; `settlement` takes it from its end to the books.

ARCHITECTURE.md walks it. Every `if` about permission is a question to `decisions`.
"""

from copy import copy

import msgspec

from ringfence.decisions.output_limit import LoweredBy
from ringfence.decisions.reservation import Reservation
from ringfence.domain.agent import StoreFailure
from ringfence.domain.budget import Unit
from ringfence.domain.event import Decision, Intent
from ringfence.domain.exchange import ModelRequest
from ringfence.domain.model import ProviderProtocol
from ringfence.domain.verdict import Deny, Reason, Refused, Stop
from ringfence.enforcement.action_path import ActionPath, Knock, PathParts, verdict
from ringfence.enforcement.declared_tool import Amended, Declarations
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.form import account_lines, forms_of
from ringfence.enforcement.handover import Handovers
from ringfence.enforcement.input_bound import InputBounds
from ringfence.enforcement.lack import Lacking
from ringfence.enforcement.live import LiveInvocation, Refusable, state_reason
from ringfence.enforcement.loop import Hinted
from ringfence.enforcement.model_policy import ModelPolicies
from ringfence.enforcement.policy import Policies
from ringfence.enforcement.provider_object import ProviderObjects
from ringfence.enforcement.quote import Quote, Quotes
from ringfence.enforcement.refusal import RefusedAction, RequestedAction
from ringfence.enforcement.route import Route
from ringfence.enforcement.settlement import Settlements
from ringfence.enforcement.ticket import Ticket
from ringfence.enforcement.topic import LackingTopic, Topics
from ringfence.enforcement.watch import Passage
from ringfence.stores.body import Body


class ModelKnock(Knock, frozen=True, kw_only=True):
    """One model call as it comes to the path."""

    request: ModelRequest
    protocol: ProviderProtocol
    within: str = ""
    """Of a question of the plane's own: the invocation in which it is asked."""


class ModelPath(ActionPath[ModelKnock, Ticket]):
    """Decides model calls and keeps their books; one for each worker."""

    def __init__(  # noqa: PLR0913 (the parts that the path joins)
        self,
        parts: PathParts,
        *,
        bounds: InputBounds,
        objects: ProviderObjects,
        policies: Policies,
        handovers: Handovers,
        declarations: Declarations,
    ) -> None:
        """`bounds` and `objects` hold what earlier calls have shown."""
        super().__init__(parts)
        self._declarations = declarations
        self.topics = Topics(handovers)
        """What agents are there for; whoever can ask a model is told to it."""
        self._policies = ModelPolicies(policies)
        self._quotes = Quotes(book=parts.book, bounds=bounds, objects=objects)
        self._settle = Settlements(
            closing=self.closing,
            clock=parts.clock,
            bounds=bounds,
            objects=objects,
            meter=self._meter,
            watch=self.watch,
        ).settle

    def decide(self, knock: ModelKnock) -> Ticket | RefusedAction | Lacking:
        """Admit, decide, reserve and write the intent; never waits, may raise."""
        now_us = self._clock.now_us()
        caller = knock.caller
        not_active = state_reason(caller.runtime)
        if not_active is not None:
            return self.turn_away(knock, Deny(reason=not_active), None)
        live: LiveInvocation | Refusable | Lacking
        if knock.within:
            live = self._invocations.rejoin(caller, knock.within, now_us)
        else:
            live = self._invocations.join(caller, knock.request, knock.hints, now_us)
        if isinstance(live, Refusable):
            return self.turn_away(knock, live.verdict, live.live)
        if isinstance(live, Lacking):
            return live
        topics = caller.runtime.agent.topics
        if topics is not None and not knock.within:
            off = self.topics.look(live, knock.request, topics)
            if off is not None:
                return off if isinstance(off, Lacking) else self.turn_away(knock, off, live)
        seen = None
        if knock.request.tools or live.failing is not None:
            seen = self.watch.look(live, knock.request)
        if seen is None or isinstance(seen, Hinted):
            return self._decide(knock, live, seen, now_us)
        return self._notice(knock, live, seen, now_us)

    async def supplied(self, knock: ModelKnock, lacking: Lacking) -> ModelKnock | RefusedAction:
        """The call with what it lacked, to begin again; or why it is not made."""
        if not isinstance(lacking, LackingTopic):
            return await super().supplied(knock, lacking)
        unclear = await self.topics.ask(knock.caller, lacking)
        if unclear is not None:
            return self.turn_away(knock, Deny(reason=unclear), lacking.live)
        return knock

    def _decide(
        self, knock: ModelKnock, live: LiveInvocation, hint: Hinted | None, now_us: int
    ) -> Ticket | RefusedAction | Lacking:
        """Price the call in its invocation, find a way for it and reserve."""
        request = knock.request if hint is None else hint.request
        amended: Amended | None = None
        if request.tools:
            looked = self._declarations.look(knock.caller, knock.client, request)
            if isinstance(looked, Reason):
                return self.turn_away(knock, Deny(reason=looked), live)
            if looked is not None:
                amended, request = looked, looked.request
        is_final = knock.is_final or not self._book.is_lent
        quote = self._quotes.quote(
            knock.caller,
            live,
            request,
            knock.protocol,
            now_us,
            is_final=is_final,
            is_patient=knock.outcome_rounds > 0,
        )
        if isinstance(quote, Reason):
            return self.turn_away(knock, verdict(quote), live)
        route = self._policies.judge(live, quote.route, request, now_us)
        if isinstance(route, Deny):
            return self.turn_away(knock, route, live)
        if route is not quote.route:
            quote = msgspec.structs.replace(quote, route=route)
        if hint is not None or amended is not None:
            quote = msgspec.structs.replace(quote, hint=hint, amended=amended)
        if self.watch.is_idle and knock.places is None:
            return self._reserve(knock, live, quote, now_us)
        return self._pass(knock, live, quote, now_us)

    def _notice(
        self, knock: ModelKnock, live: LiveInvocation, refused: Refused, now_us: int
    ) -> RefusedAction:
        """Refuse for what was noticed; a Stop ends the invocation for good."""
        action = self.turn_away(knock, refused, live)
        if isinstance(refused, Stop):
            self.watch.loops.stopped(live, refused.reason)
            self._invocations.stop(live, refused.reason, now_us)
        return action

    def _pass(
        self, knock: ModelKnock, live: LiveInvocation, quote: Quote, now_us: int
    ) -> Ticket | RefusedAction | Lacking:
        """Reserve for what breakers leave of the route, once there is a place for the call."""
        agent = knock.caller.runtime.agent
        found = self.watch.admit(agent, live, quote.route, knock.places)
        if isinstance(found, Lacking):
            return self._unpayable(knock, live, quote, now_us) or found
        if not isinstance(found, Passage):
            return self.turn_away(knock, found, live)
        begun: Ticket | RefusedAction | Lacking | None = None
        try:
            quote = msgspec.structs.replace(quote, route=found.route)
            begun = self._reserve(knock, live, quote, now_us)
        finally:
            if isinstance(begun, Ticket):
                begun.places = found.places
            elif found.places is not None and found.places is not knock.places:
                found.places.leave(was_sent=False)  # what was waited for is kept for another try
        return begun

    def _unpayable(
        self, knock: ModelKnock, live: LiveInvocation, quote: Quote, now_us: int
    ) -> RefusedAction | Lacking | None:
        """Why a call need not wait for a place: it could not be paid for. Keeps nothing.

        Whoever waited in vain would be told to come again later (429), and do so in vain.
        """
        counts = [
            each
            for each in live.counted.of(quote.tokens)
            if each.demand.key.unit is not Unit.CALLS_PER_MINUTE  # what a rate counts is not undone
        ]
        reserved = self.reserved(knock, live, quote.worst, counts, now_us)
        if not isinstance(reserved, Reservation):
            return reserved
        self._book.release(reserved)
        return None

    def _reserve(
        self, knock: ModelKnock, live: LiveInvocation, quote: Quote, now_us: int
    ) -> Ticket | RefusedAction | Lacking:
        """Set the worst case aside and count the call, or refuse and do neither."""
        counts = live.counted.of(quote.tokens)
        reserved = self.reserved(knock, live, quote.worst, counts, now_us)
        if not isinstance(reserved, Reservation):
            return reserved
        try:
            ticket = self._ticket(knock, live, quote, reserved, now_us)
            if quote.hint is not None and quote.hint.is_new:
                self.watch.loops.found(live, quote.hint.loop)
            if quote.amended is not None and self._declarations is not None:
                self._declarations.found(live, quote.amended)
        except BaseException:
            self._book.release(reserved)
            raise
        return ticket

    def usable_routes(self, caller: Caller) -> list[Route] | Refusable:
        """What a caller may use, for a listing: within its invocation, if it acts in one."""
        now_us, runtime = self._clock.now_us(), caller.runtime
        routes = [
            route
            for route in runtime.routes.values()
            if self._policies.may_list(runtime, route.model.name, now_us)
        ]
        if caller.invocation is None:
            return routes
        live = self.acting_in(caller, caller.invocation)
        if isinstance(live, Refusable):
            return live
        models = live.models
        return [route for route in routes if models is None or route.model.name in models]

    def _ticket(
        self,
        knock: ModelKnock,
        live: LiveInvocation,
        quote: Quote,
        reserved: Reservation,
        now_us: int,
    ) -> Ticket:
        caller, request = knock.caller, knock.request
        live.steps += 1
        intent = copy(forms_of(caller, live, self._directory).intent)
        intent.time_us = str(now_us)
        intent.action = self._ids.make("act")
        intent.opens = not live.is_recorded
        intent.step = live.steps
        intent.reserved_nano = str(reserved.amount)
        intent.accounts = account_lines(reserved, live.account_names)
        intent.client = knock.client
        _state_request(intent, request)
        _state_quote(intent, quote)
        ticket = Ticket(
            caller=caller,
            live=live,
            route=quote.route,
            intent=intent,
            request=request,
            output=quote.output,
            reservation=reserved,
            durable=self._ledger.intend(
                intent,
                Body(request.body, request.message_spans),
                is_open=caller.runtime.agent.on_store_failure is StoreFailure.OPEN,
            ),
            started_us=self._clock.monotonic_us(),
            settle=self._settle,
        )
        if quote.hint is not None:
            ticket.sent = quote.hint.request
        if quote.amended is not None:
            ticket.sent = quote.amended.request
        live.is_recorded = True
        live.running.add(ticket)
        return ticket

    def requested(self, knock: ModelKnock) -> RequestedAction:
        """What was asked for, as a refusal records it; without its invocation."""
        request = knock.request
        return RequestedAction(
            resource=request.model[:200],
            operation=request.dialect.value,
            client=knock.client,
            body=Body(request.body, request.message_spans),
        )

    def noticed(self, knock: ModelKnock, live: LiveInvocation, verdict: Refused) -> None:
        """A call of an invocation was refused; it is recorded next."""
        self.watch.refused(live, knock.request, verdict)


def _state_request(intent: Intent, request: ModelRequest) -> None:
    intent.operation = request.dialect.value
    intent.stream = request.stream
    intent.tools = list(request.tools)
    intent.body_bytes = len(request.body)
    intent.beyond_text = request.is_beyond_text


def _state_quote(intent: Intent, quote: Quote) -> None:
    first, output, hint = quote.route.legs[0], quote.output, quote.hint
    intent.resource = quote.route.model.name
    intent.provider = first.provider.name
    intent.upstream = first.model.upstream
    intent.output_limit = output.tokens
    intent.input_bound = quote.input_tokens
    obligations = []
    if output.lowered_by is not LoweredBy.NONE:
        obligations.append(f"output_limit={output.tokens} ({output.lowered_by})")
    if hint is not None and hint.obligation is not None:
        obligations.append(f"hint={hint.loop.kind} ({hint.obligation.text})")
    if quote.amended is not None:
        obligations += [f"tool={told[:300]}" for told in quote.amended.repairs.told]
    if obligations:
        intent.decision = Decision(verdict="allow", obligations=obligations)

"""The path of one model call: to a durable intent, and from its end to the books.

DESIGN §4, steps 2 to 8 and 11. Every `if` about permission is a question to `decisions`.
"""

import asyncio
import logging
from collections.abc import Mapping
from copy import copy

import msgspec

from ringfence.decisions import input_bound, limit, model_call, output_limit, reason, scope
from ringfence.decisions.budget import Book, Line, Reservation, Shortfall
from ringfence.decisions.input_bound import Evidence
from ringfence.decisions.output_limit import LoweredBy, OutputLimit
from ringfence.decisions.price import (
    affordable_output_tokens,
    dearest_uses,
    unpriced_hosted_tools,
    worst_case,
)
from ringfence.decisions.settlement import Billing, Charge
from ringfence.domain.agent import Agent
from ringfence.domain.budget import BudgetScope
from ringfence.domain.error import UnavailableError
from ringfence.domain.event import Decision, Status
from ringfence.domain.exchange import ModelRequest
from ringfence.domain.model import Dialect, ProviderProtocol
from ringfence.domain.money import Money
from ringfence.domain.price import RateCard
from ringfence.domain.usage import Usage
from ringfence.domain.verdict import Code, Deny, Reason, Refused, Stop
from ringfence.enforcement.directory import Caller, Directory
from ringfence.enforcement.form import event_forms
from ringfence.enforcement.invocation import Invocations, Refusable
from ringfence.enforcement.live import Forms, LiveInvocation, state_reason
from ringfence.enforcement.provider_object import ProviderObjects
from ringfence.enforcement.record import Ledger
from ringfence.enforcement.refusal import INTERNAL, Attempted, Refusals, RefusedAction
from ringfence.enforcement.route import Leg, Route, within
from ringfence.enforcement.ticket import (
    Ending,
    Ticket,
    account_lines,
    account_lines_after,
    charge_for,
)
from ringfence.stores.body import Body
from ringfence.transport.clock import Clock
from ringfence.transport.entropy import Ids

_LOG = logging.getLogger(__name__)

_NOTHING_SEEN = Evidence()
_STOPPING = frozenset({Code.BUDGET_EXHAUSTED, Code.LIMIT_REACHED})
_WORD_CHARACTERS = 200
_TOOL_CALLS = 200
"""How much of a provider's own words an event keeps; a hostile one could send megabytes."""
_DISBELIEVED = "usage_impossible"
"""The mark of an outcome whose provider stated counts that no call can have."""
_NONE_OWNED: Mapping[str, int] = {}


class Knock(msgspec.Struct, frozen=True, kw_only=True):
    """What a door knows of a request beyond its body."""

    protocol: ProviderProtocol
    hints: tuple[tuple[str, str], ...] = ()
    """Ids by which the request names its run (`protocols.headers.client_ids`)."""
    client: str = ""
    """The user agent, cut short."""


class _Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A call that is in scope and has a bound: what is still to be paid for."""

    route: Route
    input_tokens: int
    output: OutputLimit
    worst: Money


class ModelPath:
    """Decides model calls and keeps their books; one for each worker."""

    def __init__(  # noqa: PLR0913 (the parts that the path joins)
        self,
        *,
        directory: Directory,
        invocations: Invocations,
        book: Book,
        ledger: Ledger,
        refusals: Refusals,
        clock: Clock,
        ids: Ids,
        evidence: Mapping[tuple[str, str], Evidence] | None = None,
    ) -> None:
        """`evidence` is by (organisation, model): what earlier calls have shown of input bounds."""
        self._directory = directory
        self._invocations = invocations
        self._book = book
        self._ledger = ledger
        self._refusals = refusals
        self._clock = clock
        self._ids = ids
        self._evidence: dict[tuple[str, str], Evidence] = dict(evidence or {})
        self._objects = ProviderObjects()

    def begin(self, caller: Caller, request: ModelRequest, knock: Knock) -> Ticket | RefusedAction:
        """Admit, decide, reserve and write the intent; dispatch only after `make_durable`."""
        try:
            return self._begin(caller, request, knock)
        except Exception:  # noqa: BLE001 (INVARIANT I4: what is unexpected denies and is recorded)
            _LOG.exception("a decision failed; the call is denied")
            return self._refuse(caller, Deny(reason=INTERNAL), request, knock, None)

    def _begin(self, caller: Caller, request: ModelRequest, knock: Knock) -> Ticket | RefusedAction:
        now_us = self._clock.now_us()
        not_active = state_reason(caller.runtime)
        if not_active is not None:
            return self._refuse(caller, Deny(reason=not_active), request, knock, None)
        joined = self._invocations.join(caller, request, knock.hints, now_us)
        if isinstance(joined, Refusable):
            return self._refuse(caller, joined.verdict, request, knock, joined.live)
        plan = self._plan(caller, joined, request, knock, now_us)
        if isinstance(plan, Reason):
            return self._refuse(caller, _verdict(plan), request, knock, joined)
        reserved = self._book.reserve(joined.demands, plan.worst, now_us)
        if isinstance(reserved, Shortfall):
            return self._refuse(
                caller, Deny(reason=self._short(caller, reserved)), request, knock, joined
            )
        try:
            over = limit.model_call(caller.runtime.agent, joined.tree)
            if over is None:
                return self._ticket(caller, joined, request, knock, plan, reserved, now_us)
        except BaseException:
            self._book.release(reserved)
            raise
        self._book.release(reserved)
        return self._refuse(caller, Deny(reason=over), request, knock, joined)

    def refuse(self, caller: Caller, verdict: Refused, attempted: Attempted) -> RefusedAction:
        """Record a refusal that a door found, for example a body that cannot be read."""
        return self._refusals.refuse(caller, verdict, attempted)

    async def make_durable(self, ticket: Ticket) -> RefusedAction | None:
        """Wait for the intent; None if the call may now be dispatched (I1).

        If the intent cannot be written, the money is given back.
        """
        try:
            await ticket.durable
        except UnavailableError as error:
            self._withdraw(ticket)
            unwritten = Reason(
                code=Code.STORE_UNAVAILABLE,
                message="Ringfence cannot write its record right now, so this call was not made. "
                "Nothing was charged.",
                facts=(("cause", error.code),),
            )
            return self.refuse(ticket.caller, Deny(reason=unwritten), _attempted(ticket))
        except asyncio.CancelledError:
            await self._forsake(ticket)
            raise
        why = ticket.guard(0)
        if why is None:
            return None
        # Suspended or stopped while the intent was being written.
        ticket.settle(_undone(ticket, Status.CUT, why.code.value))
        return RefusedAction(verdict=_verdict(why), action=ticket.action, invocation=ticket.live.id)

    def stop_invocation(self, live: LiveInvocation, cause: Reason) -> None:
        """End an invocation for good after a cut, if the cause holds for more than this call."""
        if cause.code in _STOPPING:
            self._invocations.stop(live, cause, self._clock.now_us())

    def usable_routes(self, caller: Caller) -> list[Route] | Refusable:
        """What a caller may use, for a listing: within its invocation, if it acts in one."""
        routes = list(caller.runtime.routes.values())
        if caller.invocation is None:
            return routes
        live = self._invocations.find(caller.invocation)
        if live is None:
            closed = reason.invocation_closed(caller.runtime.agent, caller.invocation)
            return Refusable(verdict=Stop(reason=closed))
        over = live.closed_reason(self._clock.now_us())
        if over is not None:
            return Refusable(verdict=Stop(reason=over), live=live)
        models = live.models
        return [route for route in routes if models is None or route.model.name in models]

    def _withdraw(self, ticket: Ticket) -> None:
        """Make a call undone whose intent was never written."""
        ticket.is_open = False
        live = ticket.live
        live.running.discard(ticket)
        live.tree.model_calls -= 1
        if ticket.intent.opens:
            live.is_recorded = False
        self._book.release(ticket.reservation)

    async def _forsake(self, ticket: Ticket) -> None:
        """The door's task was cancelled meanwhile: an intent that gets written gets its outcome."""
        try:
            await self._ledger.flush()
            ticket.settle(_undone(ticket, Status.FAILED, "interrupted"))
        except UnavailableError:
            self._withdraw(ticket)

    def _plan(
        self,
        caller: Caller,
        live: LiveInvocation,
        request: ModelRequest,
        knock: Knock,
        now_us: int,
    ) -> _Plan | Reason:
        runtime = caller.runtime
        agent = runtime.agent
        model = scope.model_in_scope(agent, runtime.organisation, request.model, live.models)
        if isinstance(model, Reason):
            return model
        route = runtime.routes[model.name]
        if route.protocol is not knock.protocol:
            return reason.wrong_protocol(agent, model.name, route.protocol.value)
        if live.models is not None:
            route = within(route, live.models)
        owned = self._objects.owned(runtime) if request.provider_objects else _NONE_OWNED
        unfit = _unfit(agent, route, request, owned)
        if unfit is not None:
            return unfit
        if route.card is None:
            return reason.price_unknown(agent, model.name)
        input_tokens = self._input_tokens(runtime.organisation.id, route, request)
        if request.provider_objects:
            input_tokens += model_call.outside_tokens(request, owned)
        output = output_limit.output_limit(request.dialect, request.output_limit, agent)
        hosted = _hosted_uses(route, route.card, request)
        worst = worst_case(route.card, input_tokens, output.tokens, request.answers, hosted)
        left = self._book.left(live.demands, now_us)
        if left is not None and worst > left:
            affordable = affordable_output_tokens(
                route.card, left, input_tokens, request.answers, hosted
            )
            lowered = output_limit.within_budget(output, affordable)
            if lowered is not None:
                output = lowered
                worst = worst_case(route.card, input_tokens, output.tokens, request.answers, hosted)
        return _Plan(route=route, input_tokens=input_tokens, output=output, worst=worst)

    def _input_tokens(self, organisation: str, route: Route, request: ModelRequest) -> int:
        """The most that any leg can count; `model_call.check` has refused what has no bound."""
        most = 0
        for leg in route.legs:
            seen = self._evidence.get((organisation, leg.model.name), _NOTHING_SEEN)
            size = len(request.body)
            bound = input_bound.bound(leg.model, seen, size, request.images, request.media)
            if bound is not None and request.hosted_tools:
                bound = model_call.with_hosted(leg.model, bound)
            if bound is not None and bound > most:
                most = bound
        return most

    def _ticket(  # noqa: PLR0913, PLR0917 (what the decisions found)
        self,
        caller: Caller,
        live: LiveInvocation,
        request: ModelRequest,
        knock: Knock,
        plan: _Plan,
        reserved: Reservation,
        now_us: int,
    ) -> Ticket:
        live.steps += 1
        output = plan.output
        first = plan.route.legs[0]
        intent = copy(self._forms(caller, live).intent)
        intent.time_us = str(now_us)
        intent.action = self._ids.make("act")
        intent.resource = plan.route.model.name
        intent.operation = request.dialect.value
        intent.opens = not live.is_recorded
        intent.step = live.steps
        if output.lowered_by is not LoweredBy.NONE:
            lowered = f"output_limit={output.tokens} ({output.lowered_by})"
            intent.decision = Decision(verdict="allow", obligations=[lowered])
        intent.provider = first.provider.name
        intent.upstream = first.model.upstream
        intent.stream = request.stream
        intent.output_limit = output.tokens
        intent.input_bound = plan.input_tokens
        intent.reserved_nano = str(reserved.amount)
        intent.accounts = account_lines(reserved, live.account_names)
        intent.tools = list(request.tools)
        intent.body_bytes = len(request.body)
        intent.client = knock.client
        ticket = Ticket(
            caller=caller,
            live=live,
            route=plan.route,
            intent=intent,
            request=request,
            output=output,
            reservation=reserved,
            durable=self._ledger.intend(intent, Body(request.body, request.message_spans)),
            started_us=self._clock.monotonic_us(),
            settle=self._settle,
        )
        live.is_recorded = True
        live.running.add(ticket)
        return ticket

    def _settle(self, ticket: Ticket, ending: Ending) -> None:
        now_us = self._clock.now_us()
        ticket.live.running.discard(ticket)
        charge = _charge(ticket, ending)
        settled = self._book.settle(ticket.reservation, charge.amount)
        answer, intent, started_us = ending.answer, ticket.intent, ticket.started_us
        outcome = copy(self._forms(ticket.caller, ticket.live).outcome)
        outcome.time_us = str(now_us)
        outcome.action = intent.action
        outcome.status = ending.status
        outcome.http_status = ending.http_status
        doubt = _DISBELIEVED if charge.is_disbelieved else ""
        outcome.error = (ending.error or answer.error or doubt)[:_WORD_CHARACTERS]
        outcome.finish = answer.finish[:_WORD_CHARACTERS]
        outcome.usage = charge.usage
        outcome.cost_nano = str(settled.cost)
        outcome.reserved_nano = intent.reserved_nano
        outcome.overrun_nano = str(settled.overrun)
        outcome.price_source = ticket.price_source(ending.leg)
        outcome.accounts = account_lines_after(ticket.reservation, intent.accounts)
        outcome.attempts = ending.attempts
        outcome.duration_us = self._clock.monotonic_us() - started_us
        outcome.first_byte_us = max(0, ending.first_byte_us - started_us)
        outcome.tool_calls = [name[:_WORD_CHARACTERS] for name in answer.tool_calls[:_TOOL_CALLS]]
        outcome.provider_object = answer.provider_object[:_WORD_CHARACTERS]
        outcome.response_model = answer.response_model[:_WORD_CHARACTERS]
        outcome.body_bytes = len(ending.body)
        self._ledger.record(outcome, Body(ending.body) if ending.body else None)
        self._invocations.touch(ticket.live, now_us)
        if charge.usage is not None:
            self._learn(ticket, ending.leg, charge.usage)
            if ticket.request.dialect is Dialect.RESPONSES and answer.provider_object:
                self._objects.note(ticket.caller.runtime, answer)

    def _forms(self, caller: Caller, live: LiveInvocation) -> Forms:
        """The events of this invocation as far as they are the same for every call."""
        configuration = self._directory.configuration
        forms = live.forms
        if forms is None or forms.caller is not caller or forms.configuration is not configuration:
            forms = live.forms = event_forms(caller, live, self._directory)
        return forms

    def _learn(self, ticket: Ticket, leg: Leg, usage: Usage) -> None:
        """Take a provider's count of a body that was all text as evidence for the next bound."""
        request = ticket.request
        if usage.estimated or request.images or request.media:
            return
        if request.hosted_tools or request.outside_inputs:
            return
        key = (ticket.caller.runtime.organisation.id, leg.model.name)
        state = self._evidence.get(key, _NOTHING_SEEN)
        self._evidence[key] = input_bound.learn(state, len(request.body), usage.input_tokens)

    def _short(self, caller: Caller, shortfall: Shortfall) -> Reason:
        runtime = caller.runtime
        line = shortfall.line
        return reason.budget(runtime.agent, shortfall, _holder(caller, line), runtime.plan.tz)

    def _refuse(
        self,
        caller: Caller,
        verdict: Refused,
        request: ModelRequest,
        knock: Knock,
        live: LiveInvocation | None,
    ) -> RefusedAction:
        if live is not None and not live.is_recorded:
            self._invocations.record_opening(live)
        return self._refusals.refuse(
            caller,
            verdict,
            Attempted(
                resource=request.model[:200],
                operation=request.dialect.value,
                invocation=live.id if live else "",
                root=live.root if live else "",
                client=knock.client,
                body=Body(request.body, request.message_spans),
            ),
        )


def _unfit(
    agent: Agent, route: Route, request: ModelRequest, owned: Mapping[str, int]
) -> Reason | None:
    """Why this request may not go to some leg of its route."""
    for leg in route.legs:
        unfit = model_call.check(agent, leg.model, request, owned)
        if unfit is not None:
            return unfit
    hosted = [tool.name for tool in request.hosted_tools]
    for leg in route.legs if hosted else ():
        card = leg.model.price or leg.model.ceiling
        unpriced = unpriced_hosted_tools(card, hosted) if card is not None else ()
        if unpriced:
            return reason.price_unknown(agent, f"{leg.model.name} with {unpriced[0]}")
    return None


def _hosted_uses(route: Route, card: RateCard, request: ModelRequest) -> Mapping[str, int]:
    uses = model_call.hosted_uses(leg.model for leg in route.legs)
    return dearest_uses(card, [tool.name for tool in request.hosted_tools], uses)


def _verdict(why: Reason) -> Refused:
    return Stop(reason=why) if why.code is Code.INVOCATION_STOPPED else Deny(reason=why)


def _charge(ticket: Ticket, ending: Ending) -> Charge:
    """What to charge; the reservation, if that cannot be told."""
    try:
        return charge_for(ticket, ending)
    except Exception:  # noqa: BLE001 (INVARIANT I3: there is always an outcome)
        _LOG.exception("a charge could not be computed; the reservation is charged")
        return Charge(amount=ticket.reservation.amount, usage=None)


def _undone(ticket: Ticket, status: Status, error: str) -> Ending:
    """The ending of a call that was never dispatched."""
    return Ending(status=status, billing=Billing.NONE, leg=ticket.route.legs[0], error=error)


def _attempted(ticket: Ticket) -> Attempted:
    """What a ticket was for."""
    request = ticket.request
    return Attempted(
        resource=ticket.intent.resource,
        operation=ticket.intent.operation,
        invocation=ticket.live.id,
        root=ticket.live.root,
        client=ticket.intent.client,
        body=Body(request.body, request.message_spans),
    )


def _holder(caller: Caller, line: Line) -> str:
    """The name, for people, of whoever a budget belongs to."""
    runtime = caller.runtime
    match line.key.scope:
        case BudgetScope.TEAM:
            return runtime.agent.team or ""
        case BudgetScope.ORGANISATION:
            return runtime.organisation.name
        case BudgetScope.USER:
            return line.key.holder
        case _:
            return runtime.agent.name

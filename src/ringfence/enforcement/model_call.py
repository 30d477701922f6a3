"""The path of one model call to a durable intent; `settlement` takes it from its end to the books.

DESIGN §4, steps 2 to 8. Every `if` about permission is a question to `decisions`.
"""

import asyncio
import logging
from collections.abc import Callable
from copy import copy

import msgspec

from ringfence.decisions import limit, reason
from ringfence.decisions.budget import Book, Line, Reservation, Shortfall
from ringfence.decisions.output_limit import LoweredBy
from ringfence.decisions.settlement import Billing
from ringfence.domain.budget import BudgetScope, Unit
from ringfence.domain.error import RingfenceError, UnavailableError
from ringfence.domain.event import Decision, Intent, Status
from ringfence.domain.exchange import ModelRequest
from ringfence.domain.model import ProviderProtocol
from ringfence.domain.verdict import Code, Deny, Reason, Refused, Stop, Throttle
from ringfence.enforcement.directory import Caller, Directory
from ringfence.enforcement.finding import FindingLog
from ringfence.enforcement.form import account_lines, forms_of
from ringfence.enforcement.input_bound import InputBounds
from ringfence.enforcement.invocation import Invocations
from ringfence.enforcement.lack import (
    OUTCOME_ROUNDS,
    OUTCOME_S,
    SUPPLY_ROUNDS,
    SUPPLY_S,
    Lack,
    Lacking,
    LackingSlabs,
    Supplied,
    Supplier,
    not_supplied,
)
from ringfence.enforcement.live import LiveInvocation, Refusable, state_reason
from ringfence.enforcement.loop import Hinted
from ringfence.enforcement.pacing import Places
from ringfence.enforcement.provider_object import ProviderObjects
from ringfence.enforcement.quote import Quote, Quotes
from ringfence.enforcement.record import Ledger
from ringfence.enforcement.refusal import INTERNAL, Attempted, Refusals, RefusedAction
from ringfence.enforcement.route import Route
from ringfence.enforcement.settlement import Settlements
from ringfence.enforcement.ticket import Ending, Ticket
from ringfence.enforcement.watch import LackingPlace, Passage, Watch
from ringfence.stores.body import Body
from ringfence.telemetry.metric import Meter
from ringfence.transport.clock import Clock
from ringfence.transport.entropy import Ids

_LOG = logging.getLogger(__name__)

_STOPPING = frozenset({Code.BUDGET_EXHAUSTED, Code.LIMIT_REACHED})


class Knock(msgspec.Struct, frozen=True, kw_only=True):
    """One call as it comes to the path: who asks, for what, and what the door saw besides."""

    caller: Caller
    request: ModelRequest
    protocol: ProviderProtocol
    hints: tuple[tuple[str, str], ...] = ()
    """Ids by which the request names its run (`protocols.headers.client_ids`)."""
    client: str = ""
    """The user agent, cut short."""
    places: Places | None = None
    """What the call has waited for, if its upstream is paced."""
    is_final: bool = False
    """Whether nothing more can be lent to it: it is decided with what is held here."""
    outcome_rounds: int = OUTCOME_ROUNDS
    """How often it may still wait for what is withheld."""


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
        bounds: InputBounds | None = None,
        objects: ProviderObjects | None = None,
        supplier: Supplier | None = None,
        meter: Meter | None = None,
        watch: Watch | None = None,
    ) -> None:
        """`bounds` and `objects` hold what earlier calls have shown.

        Without a `supplier` everything is held here.
        """
        self._directory = directory
        self._invocations = invocations
        self._book = book
        self._ledger = ledger
        self._refusals = refusals
        self._clock = clock
        self._ids = ids
        self._supplier = supplier
        self._meter = meter or Meter()
        bounds, objects = bounds or InputBounds(), objects or ProviderObjects()
        findings = FindingLog(ledger=ledger, directory=directory, clock=clock)
        self.watch = watch or Watch(findings)
        """What is watched besides money; calls on their way tell it how they fare."""
        self._quotes = Quotes(book=book, bounds=bounds, objects=objects)
        self._settle = Settlements(
            directory=directory,
            invocations=invocations,
            book=book,
            ledger=ledger,
            clock=clock,
            bounds=bounds,
            objects=objects,
            meter=self._meter,
            watch=self.watch,
        ).settle

    def begin(self, knock: Knock) -> Ticket | RefusedAction | Lacking:
        """Admit, decide, reserve and write the intent; dispatch only after `written`.

        Never waits: for what another process holds, ask `supply`.
        """
        began_us = self._clock.monotonic_us()
        try:
            begun = self._begin(knock)
        except Exception:  # noqa: BLE001 (INVARIANT I4: what is unexpected denies and is recorded)
            _LOG.exception("a decision failed; the call is denied")
            return self._deny(knock, INTERNAL)
        self._meter.decided(self._clock.monotonic_us() - began_us)
        return begun

    async def supply(
        self, knock: Knock, lacking: Lacking, is_gone: Callable[[], bool] = lambda: False
    ) -> Ticket | RefusedAction:
        """Have fetched what `begin` lacked and begin again, a bounded number of times.

        For an agent that `is_gone` meanwhile nothing is begun.

        INVARIANT (I4): what is not supplied in time denies.
        """
        begun: Ticket | RefusedAction | None = None
        try:
            for _ in range(SUPPLY_ROUNDS):
                supplied = await self._supplied(knock, lacking)
                if isinstance(supplied, RefusedAction):
                    return supplied
                knock = supplied
                if isinstance(lacking, LackingPlace) and is_gone():
                    return self._refuse(knock, _left(knock), lacking.live)
                next_ = self.begin(knock)
                if not isinstance(next_, Lacking):
                    begun = next_
                    return begun
                lacking = next_
            return self._deny(knock, not_supplied(lacking, "asked_too_often"))
        finally:
            if knock.places is not None and not isinstance(begun, Ticket):
                knock.places.leave(was_sent=False)

    async def _supplied(self, knock: Knock, lacking: Lacking) -> Knock | RefusedAction:
        """The call with what it lacked, to begin again; or why it is not made."""
        if isinstance(lacking, LackingPlace):
            found = await self.watch.wait(knock.caller.runtime.agent, lacking)
            if isinstance(found, Throttle):
                return self._refuse(knock, found, lacking.live)
            return msgspec.structs.replace(knock, places=found)
        is_outcome = lacking.lack is Lack.OUTCOME
        fetched = await (self._outcomes(lacking) if is_outcome else self._fetch(lacking))
        if isinstance(fetched, Refusable):
            return self._refuse(knock, fetched.verdict, fetched.live)
        if isinstance(fetched, Reason):
            return self._deny(knock, fetched)
        if is_outcome:
            return msgspec.structs.replace(knock, outcome_rounds=knock.outcome_rounds - 1)
        return msgspec.structs.replace(knock, is_final=fetched is Supplied.ALL)

    async def _outcomes(self, lacking: Lacking) -> Reason | Supplied:
        """Wait until the outcomes so far are durable, or say that they cannot be."""
        try:
            async with asyncio.timeout(OUTCOME_S):
                await self._ledger.flush()
        except TimeoutError:
            return Supplied.MORE  # decided with what may be used by now
        except UnavailableError as error:
            return not_supplied(lacking, error.code)
        return Supplied.MORE

    async def _fetch(self, lacking: Lacking) -> Reason | Refusable | Supplied:
        """Ask for what is lacking, or say why it cannot be had."""
        if self._supplier is None:
            return not_supplied(lacking, "nobody_to_ask")
        try:
            async with asyncio.timeout(SUPPLY_S):
                return await self._supplier.supply(lacking)
        except TimeoutError:
            return not_supplied(lacking, "no_answer")
        except UnavailableError as error:
            return not_supplied(lacking, error.code)
        except Exception:  # noqa: BLE001 (INVARIANT I4: what is unexpected denies)
            _LOG.exception("a supply failed; the call is denied")
            return INTERNAL

    def _begin(self, knock: Knock) -> Ticket | RefusedAction | Lacking:
        now_us = self._clock.now_us()
        caller = knock.caller
        not_active = state_reason(caller.runtime)
        if not_active is not None:
            return self._deny(knock, not_active)
        live = self._invocations.join(caller, knock.request, knock.hints, now_us)
        if isinstance(live, Refusable):
            return self._refuse(knock, live.verdict, live.live)
        if isinstance(live, Lacking):
            return live
        seen = None
        if knock.request.tools or live.failing is not None:
            seen = self.watch.look(live, knock.request)
        if seen is None or isinstance(seen, Hinted):
            return self._decide(knock, live, seen, now_us)
        return self._notice(knock, live, seen, now_us)

    def _decide(
        self, knock: Knock, live: LiveInvocation, hint: Hinted | None, now_us: int
    ) -> Ticket | RefusedAction | Lacking:
        """Price the call in its invocation, find a way for it and reserve."""
        request = knock.request if hint is None else hint.request
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
            return self._refuse(knock, _verdict(quote), live)
        if hint is not None:
            quote = msgspec.structs.replace(quote, hint=hint)
        if self.watch.is_idle and knock.places is None:
            return self._reserve(knock, live, quote, now_us)
        return self._pass(knock, live, quote, now_us)

    def _notice(
        self, knock: Knock, live: LiveInvocation, verdict: Refused, now_us: int
    ) -> RefusedAction:
        """Refuse for what was noticed; a Stop ends the invocation for good."""
        refused = self._refuse(knock, verdict, live)
        if isinstance(verdict, Stop):
            self.watch.loops.stopped(live, verdict.reason)
            self._invocations.stop(live, verdict.reason, now_us)
        return refused

    def _pass(
        self, knock: Knock, live: LiveInvocation, quote: Quote, now_us: int
    ) -> Ticket | RefusedAction | Lacking:
        """Reserve for what breakers leave of the route, once there is a place for the call."""
        agent = knock.caller.runtime.agent
        found = self.watch.admit(agent, live, quote.route, knock.places)
        if isinstance(found, Lacking):
            return found
        if not isinstance(found, Passage):
            return self._refuse(knock, found, live)
        begun: Ticket | RefusedAction | Lacking | None = None
        try:
            quote = msgspec.structs.replace(quote, route=found.route)
            begun = self._reserve(knock, live, quote, now_us)
        finally:
            if isinstance(begun, Ticket):
                begun.places = found.places
            elif found.places is not None:
                found.places.leave(was_sent=False)
        return begun

    def _reserve(
        self, knock: Knock, live: LiveInvocation, quote: Quote, now_us: int
    ) -> Ticket | RefusedAction | Lacking:
        """Set the worst case aside and count the call, or refuse and do neither."""
        caller = knock.caller
        counts = live.counted.of(quote.tokens)
        reserved = self._book.reserve(live.demands, quote.worst, now_us, counts)
        if isinstance(reserved, Shortfall):
            wants = self._book.wants(live.demands, quote.worst, now_us, counts)
            if wants and not knock.is_final:
                organisation = live.identity.organisation
                return LackingSlabs(lack=Lack.LEASE, organisation=organisation, wants=wants)
            if knock.outcome_rounds and self._book.is_withholding(
                live.demands, quote.worst, now_us, counts
            ):
                return Lacking(lack=Lack.OUTCOME, organisation=live.identity.organisation)
            return self._refuse(knock, _short(caller, live, reserved, now_us), live)
        try:
            ticket = self._ticket(knock, live, quote, reserved, now_us)
            if quote.hint is not None and quote.hint.is_new:
                self.watch.loops.found(live, quote.hint.loop)
        except BaseException:
            self._book.release(reserved)
            raise
        return ticket

    def refuse(self, caller: Caller, verdict: Refused, attempted: Attempted) -> RefusedAction:
        """Record a refusal that a door found, for example a body that cannot be read."""
        return self._refusals.refuse(caller, verdict, attempted)

    def written(self, ticket: Ticket) -> RefusedAction | None:
        """Whether a call may be dispatched, now that its intent is durable or never will be (I1).

        None if it may. If the intent could not be written, the money is given back.
        """
        error = _failure(ticket)
        if error is not None:
            self._withdraw(ticket)
            unwritten = Reason(
                code=Code.STORE_UNAVAILABLE,
                message="Ringfence cannot write its record right now, so this call was not made. "
                "Nothing was charged.",
                facts=(("cause", error.code),),
            )
            return self.refuse(ticket.caller, Deny(reason=unwritten), _attempted(ticket))
        self._meter.made_durable(self._clock.monotonic_us() - ticket.started_us)
        why = ticket.guard(0)
        if why is None:
            return None
        # Suspended or stopped while the intent was being written.
        ticket.settle(_undone(ticket, Status.CUT, why.code.value))
        return RefusedAction(verdict=_verdict(why), action=ticket.action, invocation=ticket.live.id)

    def forsake(self, ticket: Ticket) -> None:
        """Nobody wants the call any more: an intent that was written gets its outcome."""
        if _failure(ticket) is not None:
            self._withdraw(ticket)
        else:
            ticket.settle(_undone(ticket, Status.FAILED, "interrupted"))

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
        if ticket.intent.opens:
            live.is_recorded = False
        self._book.release(ticket.reservation)
        if ticket.places is not None:
            ticket.places.leave(was_sent=False)

    def _ticket(
        self,
        knock: Knock,
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
            durable=self._ledger.intend(intent, Body(request.body, request.message_spans)),
            started_us=self._clock.monotonic_us(),
            settle=self._settle,
        )
        if quote.hint is not None:
            ticket.sent = quote.hint.request
        live.is_recorded = True
        live.running.add(ticket)
        return ticket

    def _deny(self, knock: Knock, why: Reason, live: LiveInvocation | None = None) -> RefusedAction:
        return self._refuse(knock, Deny(reason=why), live)

    def _refuse(self, knock: Knock, verdict: Refused, live: LiveInvocation | None) -> RefusedAction:
        request = knock.request
        if live is not None:
            if not live.is_recorded:
                self._invocations.record_opening(live)
            self.watch.refused(live, request, verdict)
        return self._refusals.refuse(
            knock.caller,
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
    if obligations:
        intent.decision = Decision(verdict="allow", obligations=obligations)


def _short(
    caller: Caller, live: LiveInvocation, shortfall: Shortfall, now_us: int
) -> Deny | Throttle:
    runtime, line = caller.runtime, shortfall.line
    if line.key.unit is not Unit.MONEY:
        return limit.used_up(live.top.runtime.agent, runtime.user, shortfall, now_us)
    holder = _holder(caller, line)
    return Deny(reason=reason.budget(runtime.agent, shortfall, holder, runtime.plan.tz))


def _left(knock: Knock) -> Throttle:
    agent = knock.caller.runtime.agent
    why = reason.rate(agent, f"agent `{agent.name}` left while its call waited", 0.0)
    return Throttle(reason=why, retry_after_s=0.0)


def _verdict(why: Reason) -> Refused:
    return Stop(reason=why) if why.code is Code.INVOCATION_STOPPED else Deny(reason=why)


def _failure(ticket: Ticket) -> RingfenceError | None:
    """Why an intent was not written. Raises what nobody has foreseen."""
    if ticket.durable.cancelled():
        return UnavailableError("store_unavailable", "the ledger gave up")
    error = ticket.durable.exception()
    if error is not None and not isinstance(error, UnavailableError):
        raise error
    return error


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
            user = runtime.user
            return line.key.holder if user is None else user.name or user.id
        case _:
            return runtime.agent.name

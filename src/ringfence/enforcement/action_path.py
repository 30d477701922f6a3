"""The path that calls of every kind share: what any of them meets, whatever door it came by.

A kind adds what is asked of it alone (`ActionPath.decide`): models their routes and prices, tools
their policies and approvals. What begins here is refused, counted, written and withdrawn here.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import msgspec

from ringfence.decisions import limit, reason
from ringfence.decisions.budget import Book
from ringfence.decisions.period import Line
from ringfence.decisions.reservation import Count, Reservation, Shortfall
from ringfence.decisions.slab import ASKED_IN_PART
from ringfence.domain.action import ActionKind
from ringfence.domain.budget import BudgetScope, Unit
from ringfence.domain.error import RingfenceError, UnavailableError
from ringfence.domain.event import Status
from ringfence.domain.lease import Need, Want
from ringfence.domain.money import Money
from ringfence.domain.verdict import Code, Deny, Reason, Refused, Stop, Throttle
from ringfence.enforcement.closing import Closing
from ringfence.enforcement.directory import Caller, Directory
from ringfence.enforcement.finding import FindingLog
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
    Wanting,
    not_supplied,
)
from ringfence.enforcement.live import LiveInvocation, Refusable
from ringfence.enforcement.pacing import Places
from ringfence.enforcement.record import Ledger
from ringfence.enforcement.refusal import INTERNAL, Refusals, RefusedAction, RequestedAction
from ringfence.enforcement.ticket import ActionTicket
from ringfence.enforcement.watch import LackingPlace, Watch
from ringfence.telemetry.metric import Meter
from ringfence.transport.clock import Clock
from ringfence.transport.entropy import Ids

_LOG = logging.getLogger(__name__)

_STOPPING = frozenset({Code.BUDGET_EXHAUSTED, Code.LIMIT_REACHED})


class Knock(msgspec.Struct, frozen=True, kw_only=True):
    """One call as it comes to the path: who asks, and what the door saw besides."""

    caller: Caller
    hints: tuple[tuple[str, str], ...] = ()
    """Ids by which the call names its run (`protocols.headers.client_ids`)."""
    client: str = ""
    """The user agent, cut short."""
    places: Places | None = None
    """What the call has waited for, if its upstream is paced."""
    is_final: bool = False
    """Whether nothing more can be lent to it: it is decided with what is held here."""
    outcome_rounds: int = OUTCOME_ROUNDS
    """How often it may still wait for what is withheld."""
    slab_rounds: int = 0
    """How often slabs were asked for, or waited for with another call."""


K = TypeVar("K", bound=Knock)
B = TypeVar("B")
"""What a call becomes that is not refused: a ticket, or something that waits to become one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathParts:
    """What the paths of one worker have in common."""

    directory: Directory
    invocations: Invocations
    book: Book
    ledger: Ledger
    refusals: Refusals
    findings: FindingLog
    watch: Watch
    closing: Closing
    meter: Meter
    clock: Clock
    ids: Ids
    supplier: Supplier | None
    """Whoever can be asked for what another process holds; None where all is held here."""


class ActionPath(ABC, Generic[K, B]):
    """Decides calls of one kind and keeps their books; one for each worker."""

    def __init__(self, parts: PathParts) -> None:
        """Join the parts."""
        self._directory = parts.directory
        self._invocations = parts.invocations
        self._book = parts.book
        self._ledger = parts.ledger
        self._refusals = parts.refusals
        self._clock = parts.clock
        self._ids = parts.ids
        self._supplier = parts.supplier
        self._meter = parts.meter
        self.closing = parts.closing
        self.findings = parts.findings
        self.watch = parts.watch
        """What is watched besides money; calls on their way tell it how they fare."""

    @abstractmethod
    def decide(self, knock: K) -> B | RefusedAction | Lacking:
        """Admit, decide, reserve and write the intent; never waits, may raise."""

    @abstractmethod
    def requested(self, knock: K) -> RequestedAction:
        """What was asked for, as a refusal records it; without its invocation."""

    @abstractmethod
    def noticed(self, knock: K, live: LiveInvocation, verdict: Refused) -> None:
        """A call of an invocation was refused; it is recorded next."""

    def begin(self, knock: K) -> B | RefusedAction | Lacking:
        """Admit, decide, reserve and write the intent; dispatch only after `written`.

        Never waits: for what another process holds, ask `supply`.
        """
        began_us = self._clock.monotonic_us()
        try:
            begun = self.decide(knock)
        except Exception:  # noqa: BLE001 (INVARIANT I4: what is unexpected denies and is recorded)
            _LOG.exception("a decision failed; the call is denied")
            return self.turn_away(knock, Deny(reason=INTERNAL), None)
        self._meter.decided(self._clock.monotonic_us() - began_us)
        return begun

    async def begun(
        self, knock: K, is_gone: Callable[[], bool] = lambda: False
    ) -> B | RefusedAction:
        """Begin, and supply what is lacking: `begin` for a door that may wait."""
        begun = self.begin(knock)
        return await self.supply(knock, begun, is_gone) if isinstance(begun, Lacking) else begun

    async def supply(
        self, knock: K, lacking: Lacking, is_gone: Callable[[], bool] = lambda: False
    ) -> B | RefusedAction:
        """Have fetched what `begin` lacked and begin again, a bounded number of times.

        For an agent that `is_gone` meanwhile nothing is begun.

        INVARIANT (I4): what is not supplied in time denies.
        """
        begun: B | RefusedAction | None = None
        try:
            for _ in range(SUPPLY_ROUNDS):
                supplied = await self.supplied(knock, lacking)
                if isinstance(supplied, RefusedAction):
                    return supplied
                knock = supplied
                if isinstance(lacking, LackingPlace) and is_gone():
                    return self.turn_away(knock, _left(knock), lacking.live)
                next_ = self.begin(knock)
                if not isinstance(next_, Lacking):
                    begun = next_
                    return begun
                lacking = next_
            asked_too_often = not_supplied(lacking, "asked_too_often")
            return self.turn_away(knock, Deny(reason=asked_too_often), None)
        finally:
            if knock.places is not None and not isinstance(begun, ActionTicket):
                knock.places.leave(was_sent=False)

    async def supplied(self, knock: K, lacking: Lacking) -> K | RefusedAction:
        """The call with what it lacked, to begin again; or why it is not made."""
        if isinstance(lacking, LackingPlace):
            found = await self._place(knock, lacking)
            if not isinstance(found, Places):
                return self.turn_away(knock, found, lacking.live)
            return msgspec.structs.replace(knock, places=found)
        is_outcome = lacking.lack is Lack.OUTCOME
        fetched = await (self._outcomes(lacking) if is_outcome else self._fetch(lacking))
        if isinstance(fetched, Refusable):
            return self.turn_away(knock, fetched.verdict, fetched.live)
        if isinstance(fetched, Reason):
            return self.turn_away(knock, Deny(reason=fetched), None)
        if is_outcome:
            return msgspec.structs.replace(knock, outcome_rounds=knock.outcome_rounds - 1)
        rounds = knock.slab_rounds + isinstance(lacking, LackingSlabs)
        return msgspec.structs.replace(knock, is_final=fetched is Supplied.ALL, slab_rounds=rounds)

    async def _place(self, knock: K, lacking: LackingPlace) -> Places | Throttle | Deny:
        """Wait for a place, or say why there is none."""
        try:
            return await self.watch.wait(knock.caller.runtime.agent, lacking)
        except UnavailableError as error:
            return Deny(reason=not_supplied(lacking, error.code))

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

    def reserved(
        self, knock: K, live: LiveInvocation, worst: Money, counts: Sequence[Count], now_us: int
    ) -> Reservation | RefusedAction | Lacking:
        """Set the worst case aside and count the call, or refuse and do neither."""
        reserved = self._book.reserve(live.demands, worst, now_us, counts)
        if isinstance(reserved, Reservation):
            return reserved
        organisation = live.identity.organisation
        wants: tuple[Want, ...] = ()
        if not knock.is_final:
            has_asked = knock.slab_rounds >= ASKED_IN_PART
            ask = self._book.whole_wants if has_asked else self._book.wants
            wants = ask(live.demands, worst, now_us, counts)
        if wants:
            return LackingSlabs(
                lack=Lack.LEASE,
                organisation=organisation,
                wants=wants,
                agent=live.runtime.id,
                need=_need(worst, counts),
                call=Wanting(live.demands, worst, now_us, counts),
            )
        if knock.outcome_rounds and self._book.is_withholding(live.demands, worst, now_us, counts):
            return Lacking(lack=Lack.OUTCOME, organisation=organisation)
        return self.turn_away(knock, _short(knock.caller, live, reserved, now_us), live)

    def refuse(self, caller: Caller, verdict: Refused, requested: RequestedAction) -> RefusedAction:
        """Record a refusal that a door found, for example a body that cannot be read."""
        return self._refusals.refuse(caller, verdict, requested)

    def turn_away(self, knock: K, verdict: Refused, live: LiveInvocation | None) -> RefusedAction:
        """Record that a call is refused, in its invocation if that is known."""
        requested = self.requested(knock)
        if live is not None:
            if not live.is_recorded:
                self._invocations.record_opening(live)
            self.noticed(knock, live, verdict)
            requested = replace(requested, invocation=live.id, root=live.root)
        return self._refusals.refuse(knock.caller, verdict, requested)

    def written(self, ticket: ActionTicket) -> RefusedAction | None:
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
            return self.refuse(ticket.caller, Deny(reason=unwritten), _requested(ticket))
        self._meter.made_durable(self._clock.monotonic_us() - ticket.started_us)
        why = ticket.live.stream_stop(0, 0)
        if why is None:
            return None
        # Suspended or stopped while the intent was being written.
        ticket.undo(Status.CUT, why.code.value)
        return RefusedAction(verdict=verdict(why), action=ticket.action, invocation=ticket.live.id)

    def forsake(self, ticket: ActionTicket) -> None:
        """Nobody wants the call any more: an intent that was written gets its outcome."""
        if _failure(ticket) is not None:
            self._withdraw(ticket)
        else:
            ticket.undo(Status.FAILED, "interrupted")

    def acting_in(self, caller: Caller, invocation: str) -> LiveInvocation | Refusable:
        """The invocation of a caller's own token, if it is open."""
        live = self._invocations.find(invocation)
        if live is None:
            closed = reason.invocation_closed(caller.runtime.agent, invocation)
            return Refusable(verdict=Stop(reason=closed))
        over = live.closed_reason(self._clock.now_us())
        return live if over is None else Refusable(verdict=Stop(reason=over), live=live)

    def stop_invocation(self, live: LiveInvocation, cause: Reason) -> None:
        """End an invocation for good after a cut, if the cause holds for more than this call."""
        if cause.code in _STOPPING:
            self._invocations.stop(live, cause, self._clock.now_us())

    def _withdraw(self, ticket: ActionTicket) -> None:
        """Make a call undone whose intent was never written."""
        ticket.is_open = False
        live = ticket.live
        live.running.discard(ticket)
        if ticket.intent.opens:
            live.is_recorded = False
        self._book.release(ticket.reservation)
        if ticket.places is not None:
            ticket.places.leave(was_sent=False)


def verdict(why: Reason) -> Refused:
    """A reason as the verdict that it stands for."""
    return Stop(reason=why) if why.code is Code.INVOCATION_STOPPED else Deny(reason=why)


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


def _need(worst: Money, counts: Sequence[Count]) -> Need:
    tokens = [amount for demand, amount in counts if demand.key.unit is Unit.TOKENS]
    return Need(amount=worst, tokens=sum(tokens))


def _failure(ticket: ActionTicket) -> RingfenceError | None:
    """Why an intent was not written. Raises what nobody has foreseen."""
    if ticket.durable.cancelled():
        return UnavailableError("store_unavailable", "the ledger gave up")
    error = ticket.durable.exception()
    if error is not None and not isinstance(error, UnavailableError):
        raise error
    return error


def _requested(ticket: ActionTicket) -> RequestedAction:
    """What a ticket was for."""
    intent = ticket.intent
    return RequestedAction(
        kind=ActionKind(intent.action_kind),
        resource=intent.resource,
        operation=intent.operation,
        invocation=ticket.live.id,
        root=ticket.live.root,
        client=intent.client,
        body=ticket.body(),
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

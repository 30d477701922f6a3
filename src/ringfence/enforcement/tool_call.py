"""The path of one tool call to a durable intent, and from its end to the books.

Every `if` about permission is a question to `decisions`.
"""

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

import msgspec

from ringfence.decisions import failure_rule, limit, reason, scope
from ringfence.decisions.failure_rule import Failed
from ringfence.decisions.reason.tool import SCHEMA_UNUSABLE
from ringfence.decisions.reservation import Reservation
from ringfence.domain.action import ActionKind
from ringfence.domain.agent import StoreFailure
from ringfence.domain.approval import Approval
from ringfence.domain.event import AGENT
from ringfence.domain.exchange import ToolUse
from ringfence.domain.model import UpstreamKey, UpstreamKind
from ringfence.domain.money import ZERO, Money
from ringfence.domain.tool import ToolKey
from ringfence.domain.tool_rule import Postcondition
from ringfence.domain.tool_view import ViewStep
from ringfence.domain.verdict import Reason, Refused, Stop, Throttle
from ringfence.enforcement import built_in
from ringfence.enforcement.action_path import PathParts, verdict
from ringfence.enforcement.approval import Approvals
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.finding import SECRET_SHOWN
from ringfence.enforcement.holding import (
    Holdable,
    HoldingPath,
    LackingApproval,
    outdated,
)
from ringfence.enforcement.lack import Lack, Lacking
from ringfence.enforcement.live import LiveInvocation, Refusable
from ringfence.enforcement.pacing import ServerLeg
from ringfence.enforcement.policy import Policies
from ringfence.enforcement.refusal import RefusedAction, RequestedAction
from ringfence.enforcement.tool_breaker import ToolBreakers
from ringfence.enforcement.tool_inspection import Inspected, Inspections, Unfinished, stopped
from ringfence.enforcement.tool_knock import (
    NAME_CHARACTERS,
    ToolKnock,
    binding,
    doubts,
    state_call,
)
from ringfence.enforcement.tool_memory import REST, ToolMemory
from ringfence.enforcement.tool_quote import CALL, ToolQuote, ToolQuotes
from ringfence.enforcement.tool_registry import Registered, ToolRegistry
from ringfence.enforcement.tool_secret import SecretScans
from ringfence.enforcement.tool_ticket import ToolEnding, ToolTicket
from ringfence.enforcement.watch import LackingPlace
from ringfence.protocols import tool_result
from ringfence.stores.body import Body

_LONGEST_PAUSE_S = 300.0
"""A server that asks to be left alone for longer is asked again all the same."""
_TOLD_MOST = 1_000
_WORD_CHARACTERS = 200


class ToolPath(HoldingPath[ToolKnock, ToolTicket]):
    """Decides tool calls and keeps their books; one for each worker.

    A call that a person must approve becomes a `Holdable`. With the id of its approval it begins
    again: everything is decided anew, and only then is the approval used up, by `supply`.
    """

    def __init__(  # noqa: PLR0913 (the parts that the path joins)
        self,
        parts: PathParts,
        *,
        tools: ToolRegistry,
        policies: Policies,
        secrets: SecretScans,
        memory: ToolMemory,
        approvals: Approvals | None,
    ) -> None:
        """Without `approvals` nobody can be asked, which denies."""
        super().__init__(parts, approvals)
        self.quotes = ToolQuotes(tools=tools, policies=policies)
        self._memory = memory
        self._told: set[tuple[str, ToolKey, str]] = set()
        """Schemas that check nothing and that a finding tells of."""
        self.breakers = ToolBreakers(self.watch.breakers, parts.clock)
        self.inspections = Inspections(
            quotes=self.quotes, secrets=secrets, memory=memory, clock=parts.clock
        )

    def decide_in(
        self, knock: ToolKnock, live: LiveInvocation, now_us: int
    ) -> ToolTicket | Holdable | RefusedAction | Lacking:
        """Ask what governs the tool, count the call in its invocation, and ask a person last."""
        quote = self.quotes.quote(
            knock.caller, live, knock.key, knock.operation, knock.arguments, now_us
        )
        if isinstance(quote, Lacking):
            return quote
        if isinstance(quote, Reason):
            refused_ = self.turn_away(knock, verdict(quote), live)
            if ("cause", SCHEMA_UNUSABLE) in quote.facts:
                self._unchecked(knock.key, live, quote.message)
            return refused_
        agent, organisation = knock.caller.runtime.agent, live.identity.organisation
        refused = self.breakers.refusal(agent, organisation, knock.key)
        if refused is None and knock.used is not None:
            refused = outdated(knock, binding(knock, live, quote), doubts(live, quote))
        if refused is not None:
            return self.turn_away(knock, refused, live)
        asks = quote.asks or bool(knock.because) or bool(doubts(live, quote))
        must_ask = asks and not knock.consumed
        if quote.server.pace is None or must_ask:
            return self._reserve(knock, live, quote, now_us, must_ask=must_ask)
        return self._pass(knock, live, quote, now_us)

    def _pass(
        self, knock: ToolKnock, live: LiveInvocation, quote: ToolQuote, now_us: int
    ) -> ToolTicket | Holdable | RefusedAction | Lacking:
        """Begin a call of a server that is paced, once there is a place for it."""
        agent, organisation = knock.caller.runtime.agent, live.identity.organisation
        leg = ServerLeg(UpstreamKey(organisation, UpstreamKind.TOOL, quote.server.name))
        places = knock.places or self.watch.pacing.enter(agent, leg)
        if places is None:
            return LackingPlace(lack=Lack.PLACE, organisation=organisation, live=live, leg=leg)
        begun: ToolTicket | Holdable | RefusedAction | Lacking | None = None
        try:
            begun = self._reserve(knock, live, quote, now_us)
        finally:
            if isinstance(begun, ToolTicket):
                begun.places = places
            elif places is not knock.places:
                places.leave(was_sent=False)  # what was waited for is kept for another try
        return begun

    def _reserve(
        self,
        knock: ToolKnock,
        live: LiveInvocation,
        quote: ToolQuote,
        now_us: int,
        *,
        must_ask: bool = False,
    ) -> ToolTicket | Holdable | RefusedAction | Lacking:
        """Set its price aside and count it; then write its intent, or ask a person."""
        organisation = live.identity.organisation
        price = Money(failure_rule.price_of(quote.server.rules, knock.key.name))
        counts = limit.of_tool(
            live.counted, organisation, live.root, live.top.runtime.agent, knock.key.merged
        )
        reserved = self.reserved(knock, live, price, counts, now_us)
        if not isinstance(reserved, Reservation):
            return reserved
        try:
            if not must_ask:
                ticket = self._ticket(knock, live, quote, reserved, now_us)
                if quote.unusable:
                    self._unchecked(knock.key, live, quote.unusable)
                return ticket
        except BaseException:
            self._book.release(reserved)
            raise
        self._book.release(reserved)
        return self._ask(knock, live, quote)

    def _unchecked(self, key: ToolKey, live: LiveInvocation, why: str) -> None:
        """A schema checks nothing: a finding, once for each tool and reason."""
        mark = (live.identity.organisation, key, why)
        if mark not in self._told:
            if len(self._told) >= _TOLD_MOST:
                self._told.clear()
            self._told.add(mark)
            self.findings.found(live, SCHEMA_UNUSABLE, {"tool": key.merged, "told": why})

    def usable(self, caller: Caller, server: str | None = None) -> Sequence[Registered] | Refusable:
        """The tools of one server, or of all, that a caller may use: for a listing.

        What is held, hidden, out of scope, or allowed by no policy whatever its arguments, is not
        among them. Those of one server are the same object while nothing changes.
        """
        live = self._acting(caller)
        if isinstance(live, Refusable):
            return live
        if server is not None:
            return self.quotes.settled(caller, live, server, self._clock.now_us())
        organisation = caller.runtime.organisation
        return self.quotes.usable(caller, live, organisation.tools, self._clock.now_us())

    def may_ask(self, caller: Caller, server: str, method: str) -> bool:
        """Whether a caller could ask a server by a method: who may not, is not shown its lists."""
        live = self._acting(caller)
        if isinstance(live, Refusable):
            return False
        key = ToolKey(server=server, name=method)
        return self.quotes.may_ask(caller, live, key, self._clock.now_us())

    def _acting(self, caller: Caller) -> LiveInvocation | Refusable | None:
        """The invocation of a caller's own token, if it has one."""
        if caller.invocation is None:
            return None
        return self.acting_in(caller, caller.invocation)

    def inspect(self, ticket: ToolTicket, raw: bytes) -> Inspected | Unfinished:
        """Look at the raw result of a call before the agent gets it.

        An `Inspected` is sent, and the ticket settled with its `ending`; anything else is for
        `ToolFinish.finish`.
        """
        looked = self.look(ticket, raw)
        if isinstance(looked, Failed):
            return Unfinished(what=looked)
        if not looked.is_error and (self.postconditions(ticket) or _steps(ticket)):
            return Unfinished(what=looked)
        return self.heard(ticket, looked)

    def heard(self, ticket: ToolTicket, found: Inspected) -> Inspected:
        """The same, with a hint where the run goes in a circle; one that goes on is stopped."""
        live = ticket.live
        if ticket.intent.operation != CALL:
            return found
        use = ToolUse(ticket.key.merged, ticket.arguments, found.result)
        circle = self.watch.loops.heard(live, use)
        if circle is None:
            return found
        if circle.stops:
            why = reason.loop_stopped(live.runtime.agent, circle.period, circle.times, circle.tools)
            self.watch.loops.stopped(live, why)
            self.end_run(live, why)
            return stopped(found, why)
        hint = reason.loop_hint(circle.period, circle.times, circle.tools)
        return msgspec.structs.replace(found, result=tool_result.noted(found.result, hint))

    def look(self, ticket: ToolTicket, raw: bytes) -> Inspected | Failed:
        """The same without what follows; what it says of the tool's health is remembered."""
        tree = ticket.live.tree
        before = tree.seen
        looked = self.inspections.look(ticket, raw)
        if tree.seen is not before:
            self._invocations.mark(ticket.live)
        if isinstance(looked, Failed):
            self.failed(ticket, looked)
        elif looked.error == SECRET_SHOWN:
            self._shown(ticket)
        elif self.watch.breakers.known:
            place = ticket.live.identity.organisation
            self.breakers.answered(ticket.caller.runtime.agent, place, ticket.key)
        return looked

    def _shown(self, ticket: ToolTicket) -> None:
        # Whose credential it is stands in the log alone: it may be another organisation's (I7).
        detail = {"tool": ticket.key.merged, "action": ticket.action}
        self.findings.found(ticket.live, SECRET_SHOWN, detail)

    def failed(self, ticket: ToolTicket, failed: Failed) -> Unfinished:
        """An attempt has failed; say so for every one that brought no result to `inspect`."""
        if failed.retry_after_s and ticket.quote.server.pace is not None:
            place, name = ticket.live.identity.organisation, ticket.quote.server.name
            key = UpstreamKey(place, UpstreamKind.TOOL, name)
            wait_s = min(failed.retry_after_s, _LONGEST_PAUSE_S)
            self.watch.tell(self.watch.pacing.asked_to_wait(key, wait_s))
        if failed.said and self.inspections.shows_secret(failed.said.encode()):
            failed = replace(failed, said="")
            self._shown(ticket)
        agent, place = ticket.caller.runtime.agent, ticket.live.identity.organisation
        self.breakers.failed(agent, place, ticket.key, failed)
        return Unfinished(what=failed)

    def built_in(self, ticket: ToolTicket) -> bytes | None:
        """The result of a tool that the path answers itself; None if it is another's."""
        if ticket.key == REST:
            return self._memory.rest(ticket.caller, ticket.arguments)
        is_asking = ticket.key in built_in.PEOPLE
        return built_in.answered(ticket.answer) if is_asking else None

    def postconditions(self, ticket: ToolTicket) -> list[Postcondition]:
        """What must be so after a call."""
        rules = ticket.quote.server.rules.postconditions
        if not rules or ticket.intent.operation != CALL:
            return []
        return [rule for rule in rules if fnmatchcase(ticket.key.name, rule.pattern)]

    def doubt(self, ticket: ToolTicket, told: str) -> None:
        """What must be so after a call is not: the tree's next serious action is held."""
        live = ticket.live
        live.tree.doubts[ticket.action] = f"after `{ticket.key.merged}`: {told}"
        self._invocations.mark(live)
        detail = {"tool": ticket.key.merged, "action": ticket.action, "told": told}
        self.findings.found(live, "postcondition", detail)

    def end_run(self, live: LiveInvocation, why: Reason) -> None:
        """End an invocation for good, because a tool's rules say so."""
        self._invocations.stop(live, why, self._clock.now_us())

    def requested(self, knock: ToolKnock) -> RequestedAction:
        """What was asked for, as a refusal records it; without its invocation."""
        return RequestedAction(
            kind=ActionKind.TOOL_CALL,
            resource=knock.key.merged[:NAME_CHARACTERS],
            operation=knock.operation[:NAME_CHARACTERS],
            client=knock.client,
            body=Body(knock.arguments),
        )

    def noticed(self, knock: ToolKnock, live: LiveInvocation, verdict: Refused) -> None:
        """A call of an invocation was refused; one that is refused for ever is a circle too."""
        if isinstance(verdict, Throttle | Stop):
            return
        use = ToolUse(knock.key.merged, knock.arguments, verdict.reason.code.encode())
        circle = self.watch.loops.heard(live, use)
        if circle is not None and circle.stops:
            agent = live.runtime.agent
            why = reason.loop_stopped(agent, circle.period, circle.times, circle.tools)
            self.watch.loops.stopped(live, why)
            self.end_run(live, why)

    def _ask(
        self, knock: ToolKnock, live: LiveInvocation, quote: ToolQuote
    ) -> Holdable | LackingApproval:
        """Nothing but a person stands in its way."""
        is_ours = quote.server is scope.BUILT_IN
        return self.asked(
            knock,
            live,
            binding(knock, live, quote),
            quote.decision,
            (*filter(None, [knock.because]), *live.tree.doubts.values()),
            quorum=1 if is_ours else None,
        )

    def _ticket(
        self,
        knock: ToolKnock,
        live: LiveInvocation,
        quote: ToolQuote,
        reserved: Reservation,
        now_us: int,
    ) -> ToolTicket:
        caller = knock.caller
        intent = self.next_intent(knock, live, reserved, now_us)
        intent.reserved_nano = str(reserved.amount)
        state_call(intent, knock, quote)
        ticket = ToolTicket(
            caller=caller,
            live=live,
            key=knock.key,
            quote=quote,
            intent=intent,
            reservation=reserved,
            durable=self._ledger.intend(
                intent,
                Body(quote.arguments),
                is_open=caller.runtime.agent.on_store_failure is StoreFailure.OPEN,
            ),
            started_us=self._clock.monotonic_us(),
            deadline_s=quote.server.call_timeout_s,
            settle=self._settle,
        )
        ticket.answer = knock.answer
        live.is_recorded = True
        live.running.add(ticket)
        if self.watch.breakers.known:
            place = live.identity.organisation
            ticket.is_probe = self.breakers.departed(caller.runtime.agent, place, knock.key)
        if knock.used is not None and quote.server is not scope.BUILT_IN:
            self._answered(live, knock.used)
        return ticket

    def _has_read(self, ticket: ToolTicket, labels: frozenset[str]) -> None:
        """A tree was given a result that no inspection has seen."""
        live = ticket.live
        if not labels <= live.tree.seen:
            live.tree.seen |= labels
            self._invocations.mark(live)

    def _answered(self, live: LiveInvocation, used: Approval) -> None:
        """A person has seen these doubts and said yes all the same."""
        doubts = live.tree.doubts
        seen = [action for action, told in doubts.items() if told in used.reasons]
        for action in seen:
            del doubts[action]
        if seen:
            self._invocations.mark(live, is_cleared=not doubts)

    def _settle(self, ticket: ToolTicket, ending: ToolEnding) -> None:
        """Charge the call, move its money from reserved to spent and record the outcome."""
        now_us = self._clock.now_us()
        outcome = self.closing.form(ticket, now_us)
        outcome.status = ending.status
        outcome.http_status = ending.http_status
        outcome.error = ending.error[:_WORD_CHARACTERS]
        outcome.attempts = ending.attempts
        labels = ticket.labels if ending.result else None
        if labels:
            outcome.labels = sorted(labels)
        if ticket.intent.enforced:
            outcome.reported_by = AGENT
            self._has_read(ticket, labels or frozenset())
        cost = ticket.reservation.amount if ending.was_sent else ZERO
        self.closing.close(ticket, outcome, cost, None, ending.result, now_us)
        self._meter.tool_ended(ticket.intent, outcome)
        if ticket.is_probe:
            agent = ticket.caller.runtime.agent
            self.breakers.lapsed(agent, ticket.live.identity.organisation, ticket.key)
        if ticket.places is not None:
            ticket.places.leave()


def _steps(ticket: ToolTicket) -> tuple[ViewStep, ...]:
    """What a view has called after the call itself."""
    tool = ticket.quote.tool
    return () if tool is None or tool.view is None else tool.view.steps

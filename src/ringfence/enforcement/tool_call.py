"""The path of one tool call to a durable intent, and from its end to the books (DESIGN §4).

Every `if` about permission is a question to `decisions`.
"""

from copy import copy

import msgspec

from ringfence.decisions import limit, permission, scope
from ringfence.decisions.budget import Reservation
from ringfence.domain.action import ActionKind
from ringfence.domain.money import ZERO
from ringfence.domain.tool import PermissionTier, ToolKey
from ringfence.domain.verdict import Deny, Reason, Refused
from ringfence.enforcement.action_path import ActionPath, Knock
from ringfence.enforcement.form import account_lines, forms_of
from ringfence.enforcement.lack import Lacking
from ringfence.enforcement.live import LiveInvocation, Refusable, state_reason
from ringfence.enforcement.refusal import Attempted, RefusedAction
from ringfence.enforcement.tool_ticket import ToolEnding, ToolTicket
from ringfence.stores.body import Body

_DEADLINE_S = 60.0
"""How long a call may take, unless its server says otherwise: what MCP's SDKs wait by default."""
_NAME_CHARACTERS = 200
"""How much of a name that somebody made up a refusal keeps."""
_WORD_CHARACTERS = 200


class ToolKnock(Knock, frozen=True, kw_only=True):
    """One tool call as it comes to the path.

    What is not a tool (resources, prompts, completion) passes too: its key names the server and
    the method, for example `resources/read`.
    """

    key: ToolKey
    """The upstream's own name, also for what came through `/mcp`."""
    arguments: bytes = b"{}"
    """The raw JSON object as it came."""
    operation: str = "tools/call"
    """The method of the protocol."""
    call_id: str = ""
    """The model's id of this call, if the client tells it: joins it to the model call."""
    approval: str = ""
    """Id of the approval that this attempt rests on."""


class ToolPath(ActionPath[ToolKnock, ToolTicket]):
    """Decides tool calls and keeps their books; one for each worker."""

    def decide(self, knock: ToolKnock) -> ToolTicket | RefusedAction | Lacking:
        """Admit, decide, reserve and write the intent; never waits, may raise."""
        now_us = self._clock.now_us()
        caller = knock.caller
        runtime = caller.runtime
        not_active = state_reason(runtime)
        if not_active is not None:
            return self.turn_away(knock, Deny(reason=not_active), None)
        live = self._invocations.join_tool(caller, knock.hints, now_us)
        if isinstance(live, Refusable):
            return self.turn_away(knock, live.verdict, live.live)
        if isinstance(live, Lacking):
            return live
        bounds = (*runtime.tools, *live.tools)
        server = scope.tool_in_scope(runtime.agent, runtime.organisation, knock.key, bounds)
        if isinstance(server, Reason):
            return self.turn_away(knock, Deny(reason=server), live)
        tier = permission.tier_of(server, knock.key.name)
        of_tool = limit.calls_of_tool(
            live.identity.organisation, live.root, live.top.runtime.agent, knock.key.merged
        )
        counts = (*live.counted.tool_calls, of_tool)
        reserved = self.reserved(knock, live, ZERO, counts, now_us)
        if not isinstance(reserved, Reservation):
            return reserved
        try:
            return self._ticket(knock, live, tier, reserved, now_us)
        except BaseException:
            self._book.release(reserved)
            raise

    def attempted(self, knock: ToolKnock) -> Attempted:
        """What was asked for, as a refusal records it; without its invocation."""
        return Attempted(
            kind=ActionKind.TOOL_CALL,
            resource=knock.key.merged[:_NAME_CHARACTERS],
            operation=knock.operation[:_NAME_CHARACTERS],
            client=knock.client,
            body=Body(knock.arguments),
        )

    def noticed(self, knock: ToolKnock, live: LiveInvocation, verdict: Refused) -> None:
        """A call of an invocation was refused; it is recorded next."""

    def _ticket(
        self,
        knock: ToolKnock,
        live: LiveInvocation,
        tier: PermissionTier,
        reserved: Reservation,
        now_us: int,
    ) -> ToolTicket:
        caller, key = knock.caller, knock.key
        live.steps += 1
        intent = copy(forms_of(caller, live, self._directory).intent)
        intent.time_us = str(now_us)
        intent.action = self._ids.make("act")
        intent.action_kind = ActionKind.TOOL_CALL.value
        intent.resource = key.merged
        intent.operation = knock.operation
        intent.upstream = key.server
        intent.opens = not live.is_recorded
        intent.step = live.steps
        intent.reserved_nano = str(reserved.amount)
        intent.accounts = account_lines(reserved, live.account_names)
        intent.client = knock.client
        intent.body_bytes = len(knock.arguments)
        ticket = ToolTicket(
            caller=caller,
            live=live,
            key=key,
            arguments=knock.arguments,
            permission=tier,
            intent=intent,
            reservation=reserved,
            durable=self._ledger.intend(intent, Body(knock.arguments)),
            started_us=self._clock.monotonic_us(),
            deadline_s=_DEADLINE_S,
            settle=self._settle,
        )
        live.is_recorded = True
        live.running.add(ticket)
        return ticket

    def _settle(self, ticket: ToolTicket, ending: ToolEnding) -> None:
        """Charge the call, move its money from reserved to spent and record the outcome."""
        now_us = self._clock.now_us()
        outcome = self.closing.form(ticket, now_us)
        outcome.status = ending.status
        outcome.http_status = ending.http_status
        outcome.error = ending.error[:_WORD_CHARACTERS]
        outcome.attempts = ending.attempts
        cost = ticket.reservation.amount if ending.was_sent else ZERO
        self.closing.close(ticket, outcome, cost, None, ending.result, now_us)
        if ticket.places is not None:
            ticket.places.leave()


class Inspected(msgspec.Struct, frozen=True, kw_only=True):
    """A result that was looked at before the agent gets it."""

    result: bytes
    """Raw JSON of the result to send."""
    is_error: bool = False
    error: str = ""
    """Why it is not the upstream's own, if it is not."""

"""What a tool has answered, before the agent gets it: usable, bounded, no secrets, labelled."""

from typing import final

import msgspec

from ringfence.decisions.failure_rule import Failed, cache_s, failure_of
from ringfence.domain.event import Attempt, Status
from ringfence.domain.tool_rule import ToolFailure
from ringfence.domain.verdict import Reason
from ringfence.enforcement.finding import SECRET_SHOWN
from ringfence.enforcement.tool_memory import ToolMemory, piece
from ringfence.enforcement.tool_quote import CALL, ToolQuotes
from ringfence.enforcement.tool_secret import SecretScans
from ringfence.enforcement.tool_ticket import ToolEnding, ToolTicket
from ringfence.protocols import tool_result
from ringfence.protocols.tool_result import ToolResult
from ringfence.transport.clock import Clock

TOOL_ERROR = "tool_error"
"""The error class of a result that says itself that it is one."""


class Inspected(msgspec.Struct, frozen=True, kw_only=True):
    """An answer as the agent gets it."""

    result: bytes
    """Raw JSON of the result."""
    is_error: bool = False
    error: str = ""
    """Error class; empty for a good result."""
    status: Status = Status.OK
    http_status: int = 0
    attempts: tuple[Attempt, ...] = ()
    was_sent: bool = True

    def ending(self) -> ToolEnding:
        """How the call ended with it."""
        return ToolEnding(
            status=self.status,
            result=self.result,
            is_error=self.is_error,
            error=self.error,
            http_status=self.http_status,
            attempts=list(self.attempts),
            was_sent=self.was_sent,
        )


class Unfinished(msgspec.Struct, frozen=True, kw_only=True):
    """A call that does not end with its answer: `ToolFinish.finish` brings it to an end.

    It has failed, so that its rules say what happens; or it is good, and its state must be checked.
    """

    what: Failed | Inspected


@final
class Inspections:
    """Looks at results; never waits."""

    def __init__(
        self, *, quotes: ToolQuotes, secrets: SecretScans, memory: ToolMemory, clock: Clock
    ) -> None:
        """Join the parts."""
        self._quotes = quotes
        self._secrets = secrets
        self._memory = memory
        self._clock = clock

    def shows_secret(self, raw: bytes) -> bool:
        """Whether what a server says, in whatever it says it, shows one of our credentials (I5)."""
        return self._secrets.finds(raw)

    def look(self, ticket: ToolTicket, raw: bytes) -> Inspected | Failed:
        """What the agent gets of an answer, or in which way it is none."""
        rules, name = ticket.quote.server.rules, ticket.key.name
        if self._secrets.finds(raw):
            return _withheld(ticket)
        tree, labels = ticket.live.tree, ticket.labels
        if not labels <= tree.seen:
            tree.seen |= labels
        if ticket.intent.operation != CALL:
            return Inspected(result=raw)
        tool = ticket.quote.tool
        has_schema = tool is not None and bool(tool.definition.output_schema)
        is_judged = has_schema or bool(rules.postconditions or rules.compensations)
        result = tool_result.read(raw, is_judged=is_judged)
        if result is None:
            return Failed(failure=ToolFailure.MALFORMED)
        if result.is_error:
            return self._error(ticket, raw, result)
        failed = self._unusable(ticket, result)
        if failed is not None or not result.is_whole:
            return failed or Inspected(result=raw)
        if cache_s(rules, name):
            now_us = self._clock.monotonic_us()
            self._memory.keep_answer(ticket.caller, ticket.key, ticket.arguments, raw, now_us)
        return Inspected(result=self.bounded(ticket, raw, result))

    def bounded(self, ticket: ToolTicket, raw: bytes, result: ToolResult) -> bytes:
        """The result, or its first part if it is too long to be given at once."""
        most = ticket.quote.server.rules.result_bytes
        own = ticket.caller.runtime.agent.limits.result_bytes
        most = most if own is None else min(most, own)
        if len(raw) <= most:
            return raw
        self._memory.keep_rest(ticket.caller, ticket.action, result, most)
        first = piece(result, ticket.action, 0, most)
        if not result.structured:
            return first
        # Clients refuse a result without the structure that its tool declares, unless it is an
        # error: MCP 2025-11-25, "Output Schema".
        fields = msgspec.json.decode(first, type=dict[str, msgspec.Raw])
        return msgspec.json.encode({**fields, "isError": True})

    def _error(self, ticket: ToolTicket, raw: bytes, result: ToolResult) -> Inspected | Failed:
        said = "\n".join(result.texts)
        tool = ticket.quote.tool
        shown = said if tool is None else tool.outward(said)
        failure = failure_of(tool_result.status_in(said))
        if failure is not None and failure is not ToolFailure.MALFORMED:
            return Failed(failure=failure, said=shown)
        if shown != said:
            raw = tool_result.replaced(raw, shown)
        bounded = self.bounded(ticket, raw, result)
        return Inspected(
            result=bounded, is_error=True, error=TOOL_ERROR, status=Status.UPSTREAM_ERROR
        )

    def _unusable(self, ticket: ToolTicket, result: ToolResult) -> Failed | None:
        if result.is_empty:
            return Failed(failure=ToolFailure.EMPTY)
        tool = ticket.quote.tool
        schema = b"" if tool is None else tool.definition.output_schema
        if not schema or not result.is_whole:
            return None
        problems = self._quotes.check(schema).problems(result.structured or b"null")
        if not problems:
            return None
        told = "; ".join(str(each) for each in problems)
        return Failed(failure=ToolFailure.MALFORMED, said=f"it breaks its output schema: {told}")


def stopped(found: Inspected, why: Reason) -> Inspected:
    """What the agent gets in place of a result when its run is over."""
    return Inspected(
        result=tool_result.error(why.message),
        is_error=True,
        error=why.code.value,
        status=Status.CUT,
        attempts=found.attempts,
    )


def _withheld(ticket: ToolTicket) -> Inspected:
    text = (
        f"Ringfence withheld the answer of tool `{ticket.key.merged}`: it shows a credential of "
        "Ringfence's. Do not retry; tell whoever runs Ringfence."
    )
    return Inspected(
        result=tool_result.error(text),
        is_error=True,
        error=SECRET_SHOWN,
        status=Status.FAILED,
    )

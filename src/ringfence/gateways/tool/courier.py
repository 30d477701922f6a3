"""Sends a call once more, or another call for it, on behalf of `enforcement.tool_finish`."""

from collections.abc import Awaitable, Callable
from typing import Final, final

from ringfence.decisions import failure_rule
from ringfence.decisions.failure_rule import Failed
from ringfence.domain.error import RingfenceError
from ringfence.domain.tool import ToolKey
from ringfence.domain.tool_rule import ToolFailure
from ringfence.enforcement.tool_ticket import ToolTicket
from ringfence.gateways.tool import asking
from ringfence.gateways.tool.ask import Ask, Target, edits_of, mirrored_of
from ringfence.gateways.tool.asking import FailedError
from ringfence.gateways.tool.channel import Failure, Sending
from ringfence.protocols import strict_json
from ringfence.protocols.mcp import error as errors
from ringfence.protocols.mcp.error import McpError

_FIRST_ERROR: Final = 400
_NOT_AUTHORISED: Final = "not_authorised"
"""Nobody has granted the use of a server yet: our own words, which say what to do."""

Reach = Callable[[ToolKey], Awaitable[Target]]
"""Finds the way to another tool for the same client.

Raises RingfenceError, McpError, FailedError.
"""


@final
class Courier:
    """Implements `tool_finish.Send` for one call of a client."""

    def __init__(self, ask: Ask, target: Target, reach: Reach) -> None:
        """`target` is where the call itself goes."""
        self._ask = ask
        self._target = target
        self._reach = reach

    async def __call__(self, ticket: ToolTicket, /) -> bytes | Failed:
        """Send it once, as the client's own message with what differs in it."""
        try:
            target = self._target
            if ticket.key != target.key:
                target = await self._reach(ticket.key)
            number = target.channel.number()
            body = strict_json.replace(
                self._ask.asked.message.raw, edits_of(self._ask, target, ticket, number)
            )
            sending = Sending(
                body=body,
                number=number,
                method="tools/call",
                name=target.name,
                mirrored=mirrored_of(self._ask, target, ticket),
            )
            reply = await asking.ask(target.channel, sending, ticket.deadline_s)
        except FailedError as error:
            return failed(error.failure)
        except RingfenceError as error:
            return failed(Failure(error=error, was_sent=False))
        except McpError as error:
            return Failed(failure=ToolFailure.AWAY, said=str(error), was_sent=False)
        if reply.error:
            return Failed(failure=ToolFailure.MALFORMED, said=errors.read(reply.error).message)
        return reply.result


def failed(failure: Failure) -> Failed:
    """A server that gave no answer, in the words of a tool's rules."""
    status = failure.status if failure.status >= _FIRST_ERROR else 0
    found = failure_rule.failure_of(status, "" if status else failure.error.code)
    wait = failure.retry_after
    return Failed(
        failure=found or ToolFailure.MALFORMED,
        said=failure.error.message if failure.error.code == _NOT_AUTHORISED else "",
        http_status=failure.status,
        was_sent=failure.was_sent,
        retry_after_s=float(wait) if wait.isdecimal() else None,
    )

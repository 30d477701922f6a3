"""What a client asks of a server besides calls, as an action: decided, and on record before it.

Listening to a server and setting its log level change or show something there, so they pass the
path like everything else; they take no stream of their own, and no person is asked about them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, final

from ringfence.domain.error import RingfenceError
from ringfence.domain.event import Status
from ringfence.domain.tool import ToolKey
from ringfence.domain.verdict import Code, Deny, Reason
from ringfence.enforcement.authority import LAPSED
from ringfence.enforcement.holding import Holdable
from ringfence.enforcement.live import state_reason
from ringfence.enforcement.refusal import RefusedAction
from ringfence.enforcement.tool_knock import ToolKnock
from ringfence.enforcement.tool_ticket import ToolEnding
from ringfence.gateways.tool.ask import Means
from ringfence.gateways.tool.asking import FailedError
from ringfence.gateways.tool.post import Post
from ringfence.protocols.mcp.error import McpError
from ringfence.protocols.mcp.request import Asked

Act = Callable[[], Awaitable[bytes]]
"""Does it, and gives the raw result. Raises FailedError, McpError, RingfenceError."""

_EMPTY: Final = b"{}"


async def nothing() -> bytes:
    """What is begun by being recorded, and answered by what comes of it later."""
    return _EMPTY


@final
class Governed:
    """One for each door."""

    def __init__(self, means: Means) -> None:
        """Nothing was done yet."""
        self._means = means

    async def do(self, post: Post, asked: Asked, key: ToolKey, act: Act = nothing) -> bytes | None:
        """Do it if it may be done; None if not, which is on record then. Raises as `act`.

        `key` is what scopes and policies are asked about.
        """
        path, is_gone = self._means.path, lambda: post.response.is_disconnected
        knock = ToolKnock(
            caller=post.caller,
            key=key,
            arguments=asked.part_of_params,
            operation=asked.message.method,
            hints=(*post.head.hints, *asked.hints),
            client=post.head.client,
        )
        begun = await path.begun(knock, is_gone)
        if isinstance(begun, Holdable):
            path.turn_away(knock, Deny(reason=_not_held(key)), begun.live)
            return None
        if isinstance(begun, RefusedAction):
            return None
        await asyncio.wait({begun.durable})
        if path.written(begun) is not None:
            return None
        is_fresh = await self._means.authority.renewed()
        why = state_reason(post.caller.runtime) if is_fresh else LAPSED
        if why is not None:
            begun.settle(ToolEnding(status=Status.CUT, error=why.code.value, was_sent=False))
            return None
        try:
            result = await act()
        except (FailedError, McpError, RingfenceError) as error:
            name = error.code if isinstance(error, RingfenceError) else "refused"
            begun.settle(ToolEnding(status=Status.UPSTREAM_ERROR, error=str(name)))
            raise
        except BaseException:
            begun.settle(ToolEnding(status=Status.FAILED, error="interrupted"))
            raise
        begun.settle(ToolEnding(status=Status.OK, result=result))
        return result


def _not_held(key: ToolKey) -> Reason:
    return Reason(
        code=Code.POLICY_DENIED,
        message=f"A policy asks for a person before `{key.merged}`, and nobody is asked about "
        "listening or log levels: allow it or forbid it.",
        facts=(("resource", key.merged),),
    )

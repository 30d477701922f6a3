"""Knocking at the path for a request of the tool gateway, and what follows."""

from collections.abc import Coroutine
from typing import Any, final

from ringfence.enforcement.holding import Holdable
from ringfence.enforcement.lack import Lacking
from ringfence.enforcement.refusal import RefusedAction
from ringfence.enforcement.tool_finish import ToolFinish
from ringfence.enforcement.tool_inspection import Inspected, Unfinished
from ringfence.enforcement.tool_knock import ToolKnock
from ringfence.enforcement.tool_ticket import ToolTicket
from ringfence.gateways.answer import own_headers
from ringfence.gateways.tool import said
from ringfence.gateways.tool.ask import Ask, Finish, Means, Target
from ringfence.gateways.tool.call import ToolCall
from ringfence.gateways.tool.courier import Courier
from ringfence.gateways.tool.held import HeldClients
from ringfence.gateways.tool.outlet import Outlet
from ringfence.gateways.tool.post import Post, knock_of
from ringfence.gateways.tool.reach import Reach
from ringfence.gateways.tool.rounds import Suspended
from ringfence.transport.http import Work
from ringfence.transport.work import until_over

Going = Work | Coroutine[Any, Any, None] | None


@final
class Beginning:
    """Knocks at the path for every request of a door, and begins what it lets in."""

    def __init__(
        self, *, means: Means, finish: ToolFinish, held: HeldClients, reach: Reach
    ) -> None:
        """`held` are told while a person decides; `reach` finds what a call's end needs."""
        self._means = means
        self._finish = finish
        self._held = held
        self._reach = reach

    def begin(
        self, post: Post, ask: Ask, target: Target, resumed: Suspended | None = None
    ) -> Going:
        """Knock at the path. Raises McpError for headers that contradict what is asked."""
        if ask.mirrored and resumed is None:
            self._reach.check_mirrored(ask, target.key)
        knock = knock_of(post, ask, target.key)
        begun = self._means.path.begin(knock)

        async def finish(ticket: ToolTicket, unfinished: Unfinished) -> Inspected:
            courier = Courier(ask, target, lambda key: self._reach.other(post, ask, key))
            return await self._finish.finish(knock, ticket, unfinished, courier)

        if isinstance(begun, ToolTicket):
            return ToolCall(self._means, ask, target, begun, finish, resumed)
        if isinstance(begun, RefusedAction):
            if resumed is not None:
                resumed.pending.cancel("it was refused")
            self._say_refused(ask, begun)
            return None
        return self._begun_late(ask, target, knock, begun, finish, resumed)

    async def _begun_late(  # noqa: PLR0913, PLR0917 (a call has these parts)
        self,
        ask: Ask,
        target: Target,
        knock: ToolKnock,
        begun: Holdable | Lacking,
        finish: Finish,
        resumed: Suspended | None,
    ) -> None:
        """Go on with a call that lacks something, or that a person must approve."""
        outlet: Outlet | None = None
        found: ToolTicket | Holdable | RefusedAction | None = None
        try:
            if isinstance(begun, Lacking):
                found = await self._means.path.supply(
                    knock, begun, lambda: ask.response.is_disconnected
                )
            else:
                found = begun
            if isinstance(found, Holdable):
                outlet = Outlet(ask.response, (), self._means.clock.monotonic_us())
                found = await self._held.wait(ask, knock, found, outlet)
        finally:
            if not isinstance(found, ToolTicket):
                ask.portion.leave()
                if resumed is not None:
                    resumed.pending.cancel("it was refused")
        if isinstance(found, ToolTicket):
            await until_over(ToolCall(self._means, ask, target, found, finish, resumed, outlet))
        elif isinstance(found, RefusedAction):
            self._say_refused(ask, found, outlet)

    def _say_refused(self, ask: Ask, refused: RefusedAction, outlet: Outlet | None = None) -> None:
        if not ask.response.is_disconnected:
            headers = own_headers(refused.invocation, refused.action)
            (outlet or Outlet(ask.response, headers, 0)).answer(
                *said.refusal(ask.asked, refused, ask.era)
            )


async def until_gone(going: Going) -> None:
    """Wait until an answer that was begun has ended."""
    if isinstance(going, Coroutine):
        await going
    elif going is not None:
        await until_over(going)

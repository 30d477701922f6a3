"""Calls of the tools that Ringfence offers itself: decided like any other, sent to no server."""

import asyncio
from collections.abc import Sequence
from typing import Final, final

from ringfence.decisions.scope import BUILT_IN
from ringfence.domain.event import Status
from ringfence.domain.tool import ToolKey
from ringfence.domain.verdict import Deny
from ringfence.enforcement.authority import LAPSED, Authority
from ringfence.enforcement.built_in import DEFINITIONS
from ringfence.enforcement.holding import Holdable
from ringfence.enforcement.live import state_reason
from ringfence.enforcement.refusal import INTERNAL, RefusedAction
from ringfence.enforcement.tool_call import ToolPath
from ringfence.enforcement.tool_knock import ToolKnock
from ringfence.enforcement.tool_ticket import ToolEnding, ToolTicket
from ringfence.gateways.answer import own_headers
from ringfence.gateways.tool import said
from ringfence.gateways.tool.ask import Ask
from ringfence.gateways.tool.held import HeldClients
from ringfence.gateways.tool.outlet import Outlet
from ringfence.protocols.mcp import listing, message, translation
from ringfence.protocols.mcp import name as names
from ringfence.protocols.mcp.request import Asked
from ringfence.protocols.mcp.version import Era
from ringfence.transport.clock import Clock

SERVER: Final = BUILT_IN.name
_OURS: Final = SERVER + names.SEPARATOR


def called_by(asked: Asked) -> ToolKey | None:
    """The built-in tool that a request calls; None if it is another's."""
    is_ours = asked.name.startswith(_OURS) and asked.message.method == "tools/call"
    return ToolKey(server=SERVER, name=names.own(asked.name, ())) if is_ours else None


def listed() -> Sequence[bytes]:
    """Their definitions under merged names, for `/mcp`."""
    return [listing.renamed(each, SERVER) for each in DEFINITIONS.values()]


@final
class BuiltInCalls:
    """One for each door."""

    def __init__(
        self, path: ToolPath, held: HeldClients, authority: Authority, clock: Clock
    ) -> None:
        """Nothing is called yet."""
        self._path = path
        self._held = held
        self._authority = authority
        self._clock = clock

    async def call(self, ask: Ask, knock: ToolKnock) -> None:
        """Decide one call and answer it."""
        outlet = Outlet(ask.response, (), self._clock.monotonic_us())
        begun = await self._begun(ask, knock, outlet)
        if begun is None:  # its client has left; a question stays with the person
            return
        if isinstance(begun, ToolTicket):
            begun = await self._carried_out(ask, begun, outlet)
        if begun is not None and not ask.response.is_disconnected:
            headers = own_headers(begun.invocation, begun.action)
            shown = outlet if outlet.is_stream else Outlet(ask.response, headers, 0)
            shown.answer(*said.refusal(ask.asked, begun, ask.era))

    async def _begun(
        self, ask: Ask, knock: ToolKnock, outlet: Outlet
    ) -> ToolTicket | RefusedAction | None:
        begun = await self._path.begun(knock, lambda: ask.response.is_disconnected)
        if not isinstance(begun, Holdable):
            return begun
        return await self._held.wait(ask, knock, begun, outlet)

    async def _carried_out(
        self, ask: Ask, ticket: ToolTicket, outlet: Outlet
    ) -> RefusedAction | None:
        await asyncio.wait({ticket.durable})
        refused = self._path.written(ticket)
        if refused is not None:
            return refused
        is_fresh = await self._authority.renewed()
        why = state_reason(ticket.caller.runtime) if is_fresh else LAPSED
        result = None if why is not None else self._path.built_in(ticket)
        if result is None:
            why = why or INTERNAL
            ticket.settle(ToolEnding(status=Status.CUT, error=why.code.value, was_sent=False))
            return RefusedAction(
                verdict=Deny(reason=why), action=ticket.action, invocation=ticket.live.id
            )
        ticket.settle(ToolEnding(status=Status.OK, result=result))
        if ask.era is Era.MODERN:
            result = translation.completed(result, "tools/call")
        if not ask.response.is_disconnected:
            outlet.answer(message.response(ask.number, result), 200)
        return None

"""The route that proposes how a trace can be undone."""

from collections.abc import Mapping
from functools import partial

import msgspec

from ringfence.analysis import trace
from ringfence.analysis.undo import Undo, undo
from ringfence.api.context import ControlContext
from ringfence.api.route import VIEWER, AnyRoute, Call, Nothing, Route
from ringfence.api.trace import read_trace
from ringfence.domain.tool import ToolServer
from ringfence.protocols import tool_result
from ringfence.stores.body import Part


class UndoPlan(msgspec.Struct, frozen=True):
    """What undoes a trace, or one action of it, in the order in which to do it."""

    steps: list[Undo]


async def propose_undo(call: Call[Nothing, Nothing]) -> UndoPlan:
    """Propose the calls that undo what a trace has done; nothing is done by this."""
    organisation = call.organisation
    found = await call.context.scan(
        organisation.id,
        partial(_read, call.context, organisation.id, call.path["id"], organisation.tools),
    )
    return UndoPlan(found)


def _read(
    context: ControlContext, organisation: str, identifier: str, servers: Mapping[str, ToolServer]
) -> list[Undo]:
    root = read_trace(context, organisation, identifier, "none")
    steps = [step for branch in trace.walk(root) for step in branch.steps]
    steps.sort(key=lambda step: int(step.time_us))
    if any(step.action == identifier for step in steps):
        steps = [step for step in steps if step.action == identifier]
    bodies = context.open_bodies()

    def stored(action: str) -> tuple[bytes | None, bytes | None]:
        answered = bodies.get(organisation, action, Part.RESPONSE)
        result = None if answered is None else tool_result.read(answered)
        document = None if result is None else result.document
        return bodies.get(organisation, action, Part.REQUEST), document

    try:
        return undo(steps, servers, stored)
    finally:
        bodies.close()


ROUTES: tuple[AnyRoute, ...] = (
    Route(
        method="GET",
        path="/traces/{id}/undo",
        summary="Propose how to undo a trace or one action: the last first, and what cannot be.",
        roles=VIEWER,
        query=Nothing,
        body=Nothing,
        answer=UndoPlan,
        handler=propose_undo,
    ),
)

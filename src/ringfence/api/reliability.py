"""Routes about reliability: how often the steps and the runs of an agent work, from the record."""

import asyncio
from functools import partial

import msgspec

from ringfence.analysis.reliability import Outlook, Reliability, measure, outlook
from ringfence.api.context import ControlContext
from ringfence.api.route import VIEWER, AnyRoute, Call, Nothing, Route
from ringfence.api.trace import read_trace
from ringfence.stores.ledger.query import InvocationFilter

_RUNS_MOST = 1000


class ReliabilityQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many of the latest runs to look at."""

    runs: int = 100

    def __post_init__(self) -> None:
        """Raises ValueError, which is reported as a wrong query."""
        if not 1 <= self.runs <= _RUNS_MOST:
            raise ValueError(f"runs must be from 1 to {_RUNS_MOST}")


class AgentReliability(msgspec.Struct, frozen=True):
    """What the latest root invocations of an agent say; null before any step of one has ended."""

    measured: Reliability | None


class TraceReliability(msgspec.Struct, frozen=True):
    """How often a run with the steps of a trace works; null before any step has ended."""

    outlook: Outlook | None


async def of_agent(call: Call[ReliabilityQuery, Nothing]) -> AgentReliability:
    """Read the agent's latest runs."""
    context, organisation = call.context, call.organisation.id
    record = await asyncio.to_thread(context.state.agents.named, organisation, call.path["name"])
    measured = await context.scan(
        organisation, partial(_measure, context, organisation, record.id, call.query.runs)
    )
    return AgentReliability(measured)


async def of_trace(call: Call[ReliabilityQuery, Nothing]) -> TraceReliability:
    """Read the trace, and the latest runs of the agent at its top."""
    context, organisation = call.context, call.organisation.id
    found = await context.scan(
        organisation, partial(_outlook, context, organisation, call.path["id"], call.query.runs)
    )
    return TraceReliability(found)


def _measure(
    context: ControlContext, organisation: str, agent: str, runs: int
) -> Reliability | None:
    asked = InvocationFilter(organisation=organisation, agent=agent, is_root=True, limit=runs)
    ledger = context.open_ledger()
    try:
        roots = [record.invocation.id for record in ledger.invocations(asked)]
    finally:
        ledger.close()
    return measure(read_trace(context, organisation, root, "none") for root in roots)


def _outlook(
    context: ControlContext, organisation: str, identifier: str, runs: int
) -> Outlook | None:
    root = read_trace(context, organisation, identifier, "none")
    known = _measure(context, organisation, root.agent, runs)
    return None if known is None else outlook(root, known)


ROUTES: tuple[AnyRoute, ...] = (
    Route(
        method="GET",
        path="/agents/{name}/reliability",
        summary="How often an agent's steps and runs work, and what that compounds to.",
        roles=VIEWER,
        query=ReliabilityQuery,
        body=Nothing,
        answer=AgentReliability,
        handler=of_agent,
    ),
    Route(
        method="GET",
        path="/traces/{id}/reliability",
        summary="How often a run with the steps of this trace works.",
        roles=VIEWER,
        query=ReliabilityQuery,
        body=Nothing,
        answer=TraceReliability,
        handler=of_trace,
    ),
)

"""The route that says how tools fare, from the record."""

from functools import partial

import msgspec

from ringfence.analysis.tool_stats import ToolStats, tool_stats
from ringfence.api.context import ControlContext
from ringfence.api.route import VIEWER, AnyRoute, Call, Nothing, Route
from ringfence.stores.ledger.query import Filter

_DAY_US = 86_400_000_000
_DAYS_MOST = 92


class ToolStatsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Over how many days, and of which agent (name or id; empty for all)."""

    days: int = 7
    agent: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError, which is reported as a wrong query."""
        if not 1 <= self.days <= _DAYS_MOST:
            raise ValueError(f"days must be from 1 to {_DAYS_MOST}")


async def show_tool_stats(call: Call[ToolStatsQuery, Nothing]) -> list[ToolStats]:
    """How often each tool works for each agent, the worst first."""
    organisation = call.organisation.id
    since_us = call.context.clock.now_us() - call.query.days * _DAY_US
    return await call.context.scan(
        organisation, partial(_read, call.context, organisation, since_us, call.query.agent)
    )


def _read(context: ControlContext, organisation: str, since_us: int, agent: str) -> list[ToolStats]:
    asked = Filter(
        organisation=organisation,
        since_us=since_us,
        agent=agent or None,
        is_newest_first=False,
    )
    ledger = context.open_ledger()
    try:
        return tool_stats(stored.event for stored in ledger.query(asked))
    finally:
        ledger.close()


ROUTES: tuple[AnyRoute, ...] = (
    Route(
        method="GET",
        path="/tools/stats",
        summary="Show how tools fare: success, speed, errors and cost by agent and version.",
        roles=VIEWER,
        query=ToolStatsQuery,
        body=Nothing,
        answer=list[ToolStats],
        handler=show_tool_stats,
    ),
)

"""`/metrics`: an organisation's own figures and the plane's, for Prometheus."""

import asyncio
from typing import Final

import msgspec
from starlette.responses import Response

from ringfence.api import access
from ringfence.api.budget import BudgetView, lasting_budgets
from ringfence.api.context import ControlContext
from ringfence.api.route import VIEWER, AnyRoute, Call, Nothing, Route
from ringfence.domain.organisation import Organisation
from ringfence.telemetry.metric import Measured

SERIES_MOST: Final = 1000
"""Of how many budgets an organisation is shown figures: each is three series for its Prometheus,
and every user may have some."""
_KEPT_US: Final = 5_000_000
_MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


async def show_metrics(call: Call[Nothing, Nothing]) -> Response:
    """Calls, refusals and budgets of the organisation alone; stages and stores of the plane.

    The latter are left out where they would be those of several organisations together, unless the
    operator asks.
    """
    from ringfence.telemetry.prometheus import (  # noqa: PLC0415 (its library takes 70 ms to import)
        BudgetGauge,
        render,
    )

    context, organisation = call.context, call.organisation
    own = _own(await context.workers.metrics(), organisation)
    if access.sees_whole(context, call.person):
        own.gauges = {**own.gauges, **await _plane(context)}
    else:
        # How much all do together would tell each what the others do.
        own.stages, own.totals, own.gauges = {}, {}, {}
    budgets: list[BudgetView] = []
    if context.is_serving:
        budgets, left_out = await _budgets(context, organisation)
        own.gauges = {**own.gauges, "budgets_not_shown": left_out}
    gauges = [
        BudgetGauge(
            scope=each.scope.value,
            holder=each.holder_name or organisation.name,
            per=each.per.value,
            limit_nano=int(each.limit_nano),
            spent_nano=int(each.spent_nano),
            reserved_nano=int(each.reserved_nano),
        )
        for each in budgets
    ]
    text = await asyncio.to_thread(render, own, gauges)
    return Response(text, media_type=_MEDIA_TYPE)


async def _budgets(
    context: ControlContext, organisation: Organisation
) -> tuple[list[BudgetView], int]:
    """The widest, and how many more there are; those of a moment ago if somebody has just asked."""
    now_us = context.clock.monotonic_us()
    at_us, shown, left_out = context.figures.get(organisation.id, (-_KEPT_US, [], 0))
    if now_us - at_us >= _KEPT_US:
        shown, left_out = await lasting_budgets(context, organisation, SERIES_MOST)
        context.figures[organisation.id] = (now_us, shown, left_out)
    return shown, left_out


def _own(measured: Measured, organisation: Organisation) -> Measured:
    """INVARIANT: nothing that was counted for another organisation is left (I7)."""
    return msgspec.structs.replace(
        measured,
        calls=[each for each in measured.calls if each[0].organisation == organisation.id],
        tools=[each for each in measured.tools if each[0].organisation == organisation.id],
        refusals=[each for each in measured.refusals if each[0].organisation == organisation.id],
    )


async def _plane(context: ControlContext) -> dict[str, int]:
    workers = await context.workers.status()
    return {
        "workers": len(workers),
        "open_invocations": sum(each.open_invocations for each in workers),
        "connections": sum(each.connections for each in workers),
        "ready": int(not context.readiness()),
    }


ROUTES: tuple[AnyRoute, ...] = (
    Route(
        method="GET",
        path="/metrics",
        summary="Figures in Prometheus' text form.",
        roles=VIEWER,
        query=Nothing,
        body=Nothing,
        answer=str,
        handler=show_metrics,
        media_type=_MEDIA_TYPE,
        prefix="",
    ),
)

"""The control plane as one ASGI application: every operation exists here and nowhere else."""

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ringfence.api import (
    agent,
    approval,
    audit,
    budget,
    budget_grant,
    erasure,
    health,
    key,
    metrics,
    openapi,
    policy,
    reach,
    reliability,
    reload,
    sandbox,
    secret,
    status,
    token,
    tool,
    tool_grant,
    tool_lint,
    tool_stats,
    trace,
    undo,
    upstream,
    user,
)
from ringfence.api.context import ControlContext
from ringfence.api.error import respond_to_http
from ringfence.api.route import VIEWER, AnyRoute, Call, Nothing, Route, mount


async def _describe(call: Call[Nothing, Nothing]) -> Response:
    document = openapi.describe(ROUTES, call.context.version)
    return Response(msgspec.json.encode(document), media_type="application/json")


ROUTES: tuple[AnyRoute, ...] = (
    *agent.ROUTES,
    *token.ROUTES,
    *key.ROUTES,
    *user.ROUTES,
    *approval.ROUTES,
    *tool.ROUTES,
    *tool_grant.ROUTES,
    *tool_lint.ROUTES,
    *tool_stats.ROUTES,
    *undo.ROUTES,
    *trace.ROUTES,
    *reliability.ROUTES,
    *policy.ROUTES,
    *reach.ROUTES,
    *audit.ROUTES,
    *erasure.ROUTES,
    *budget.ROUTES,
    *budget_grant.ROUTES,
    *sandbox.ROUTES,
    *secret.ROUTES,
    *reload.ROUTES,
    *status.ROUTES,
    *upstream.ROUTES,
    *metrics.ROUTES,
    Route(
        method="GET",
        path="/openapi.json",
        summary="This description.",
        roles=VIEWER,
        query=Nothing,
        body=Nothing,
        answer=dict,
        handler=_describe,
        is_installation=True,
    ),
)


def create_app(context: ControlContext) -> Starlette:
    """Build the application. Whoever serves it marks each request with its listener."""
    return Starlette(
        routes=[*health.routes(context), *(mount(route, context) for route in ROUTES)],
        exception_handlers={HTTPException: respond_to_http},
    )

"""The route that says how an organisation's upstreams stand."""

from ringfence.api.route import VIEWER, AnyRoute, Call, Nothing, Route
from ringfence.domain.model import UpstreamStanding


async def list_upstreams(call: Call[Nothing, Nothing]) -> list[UpstreamStanding]:
    """Providers, models and credentials that fail, are paced or were asked to be left alone."""
    found = await call.context.workers.upstreams(call.organisation.id)
    return sorted(found, key=lambda each: (each.kind, each.name))


ROUTES: tuple[AnyRoute, ...] = (
    Route(
        method="GET",
        path="/upstreams",
        summary="Show which upstreams fail or are paced: breakers, calls on their way, queues.",
        roles=VIEWER,
        query=Nothing,
        body=Nothing,
        answer=list[UpstreamStanding],
        handler=list_upstreams,
    ),
)

"""Whether the plane is alive and ready: the two routes that ask nobody for a credential."""

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ringfence.api.context import ControlContext
from ringfence.domain.error import RingfenceError


def routes(context: ControlContext) -> list[Route]:
    """`/healthz` and `/readyz`. INVARIANT: neither says anything of any organisation."""

    async def alive(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(_: Request) -> Response:
        try:
            await asyncio.to_thread(context.state.database.ping)
        except RingfenceError:
            return _unavailable("the state store does not answer")
        trouble = context.readiness()
        if trouble:
            return _unavailable(trouble)
        warnings = list(context.warnings())
        return JSONResponse(
            {"status": "ok", "warnings": warnings} if warnings else {"status": "ok"}
        )

    return [Route("/healthz", alive), Route("/readyz", ready)]


def _unavailable(why: str) -> Response:
    """Which store or worker fails: words of the installation, of no organisation."""
    return JSONResponse({"status": "unavailable", "why": why}, 503)

"""Routes about grants: a person lets the plane use a tool server (OAuth, authorization code)."""

from typing import Annotated

import msgspec

from ringfence.api.context import ChangeNote, ControlContext
from ringfence.api.route import BUILDER, VIEWER, AnyRoute, Call, Nothing, Route
from ringfence.domain.error import UnavailableError, UsageError
from ringfence.domain.tool import ToolServer
from ringfence.enforcement.tool_grant import Standing, ToolGrants

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=4_000)]


class Begin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the browser comes back to: https, or the own machine."""

    redirect_uri: _Text


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Where a person's browser goes; it comes back with `state`."""

    url: str
    state: str


class Brought(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the browser has brought back; `iss` is empty if it has brought none."""

    state: _Text
    code: _Text
    iss: str = ""


class GrantView(msgspec.Struct, frozen=True, kw_only=True):
    """What is granted: by whom, who gives out the tokens, and since when."""

    server: str
    is_granted: bool
    by: str = ""
    issuer: str = ""
    granted_us: str = ""


async def show(call: Call[Nothing, Nothing]) -> GrantView:
    """Whether a person has granted the use of a tool server."""
    server = _server(call)
    standing = await _grants(call.context).standing(call.organisation.id, server.name)
    return _view(server.name, standing)


async def begin(call: Call[Nothing, Begin]) -> Asked:
    """Begin a grant: gives the address that a person opens in a browser."""
    server, grants = _server(call), _grants(call.context)
    asked = await grants.begin(call.organisation.id, server, call.body.redirect_uri)
    return Asked(url=asked.url, state=asked.state)


async def finish(call: Call[Nothing, Brought]) -> GrantView:
    """End a grant with what the browser has brought back; from now on it is used."""
    server, body = _server(call), call.body
    context, organisation = call.context, call.organisation.id
    standing = await _grants(context).finish(
        organisation,
        server,
        state=body.state,
        code=body.code,
        issuer=body.iss,
        actor=call.person.actor,
    )
    await context.record(_note(call, server, "tool.authorized", standing.issuer))
    await context.workers.tool_grant_changed(organisation, server.name)
    return _view(server.name, standing)


async def forget(call: Call[Nothing, Nothing]) -> GrantView:
    """Drop a grant: its tokens are not used any more."""
    server, context = _server(call), call.context
    if not await _grants(context).forget(call.organisation.id, server.name):
        raise UsageError("grant_unknown", f"nobody has granted tool server `{server.name}`")
    await context.workers.tool_grant_changed(call.organisation.id, server.name)
    await context.record(_note(call, server, "tool.unauthorized", ""))
    return _view(server.name, None)


def _server(call: "_Any") -> ToolServer:
    found = call.organisation.tools.get(call.path["server"])
    if found is None:
        raise UsageError("tool_server_unknown", f"no tool server `{call.path['server']}`")
    return found


def _grants(context: ControlContext) -> ToolGrants:
    if context.grants is None:
        raise UnavailableError("plane_stopped", "grants need a running plane")
    return context.grants


_Any = Call[Nothing, Nothing] | Call[Nothing, Begin] | Call[Nothing, Brought]


def _note(call: _Any, server: ToolServer, what: str, issuer: str) -> ChangeNote:
    return ChangeNote(
        organisation=call.organisation.id,
        actor=call.person.actor,
        what=what,
        subject=server.name,
        detail={"url": server.url or ""} | ({"issuer": issuer} if issuer else {}),
    )


def _view(server: str, standing: Standing | None) -> GrantView:
    if standing is None:
        return GrantView(server=server, is_granted=False)
    return GrantView(
        server=server,
        is_granted=True,
        by=standing.by,
        issuer=standing.issuer,
        granted_us=str(standing.granted_us),
    )


ROUTES: tuple[AnyRoute, ...] = (
    Route(
        method="GET",
        path="/tools/servers/{server}/grant",
        summary="Show whether a person has granted the use of a tool server.",
        roles=VIEWER,
        query=Nothing,
        body=Nothing,
        answer=GrantView,
        handler=show,
    ),
    Route(
        method="POST",
        path="/tools/servers/{server}/grant",
        summary="Begin to grant the use of a tool server: where a browser must go.",
        roles=BUILDER,
        query=Nothing,
        body=Begin,
        answer=Asked,
        handler=begin,
    ),
    Route(
        method="POST",
        path="/tools/servers/{server}/grant/answer",
        summary="End a grant with what the browser has brought back.",
        roles=BUILDER,
        query=Nothing,
        body=Brought,
        answer=GrantView,
        handler=finish,
    ),
    Route(
        method="DELETE",
        path="/tools/servers/{server}/grant",
        summary="Drop the grant of a tool server.",
        roles=BUILDER,
        query=Nothing,
        body=Nothing,
        answer=GrantView,
        handler=forget,
    ),
)

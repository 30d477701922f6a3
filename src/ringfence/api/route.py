"""How a route is described, and the one way by which requests reach a handler."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute

from ringfence.api import access
from ringfence.api.access import Person
from ringfence.api.context import ControlContext
from ringfence.api.error import respond, respond_to_unexpected
from ringfence.domain.error import RingfenceError, UsageError
from ringfence.domain.organisation import Organisation, Role

PREFIX = "/api/v1"
BODY_LIMIT_BYTES = 65_536

VIEWER = frozenset({Role.VIEWER})
AUDITOR = frozenset({Role.AUDITOR})
BUILDER = frozenset({Role.BUILDER})
ADMIN = frozenset({Role.ADMIN})

Item = TypeVar("Item")
Query = TypeVar("Query", bound=msgspec.Struct)
Body = TypeVar("Body", bound=msgspec.Struct)


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No query parameters, or an empty body."""


PageSize = Annotated[int, msgspec.Meta(ge=1, le=1000)]


class Paging(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which part of a listing: at most `limit` items after the one that `after` names."""

    limit: PageSize = 100
    after: str = ""


class Page(msgspec.Struct, Generic[Item], frozen=True, kw_only=True):
    """A part of a listing. `next` is the `after` of the following part; null at the end."""

    items: list[Item]
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[Query, Body]):
    """One request that was let in: who asks, about which organisation, and for what."""

    context: ControlContext
    person: Person
    path: Mapping[str, str]
    query: Query
    body: Body
    chosen: Organisation | None

    @property
    def organisation(self) -> Organisation:
        """The organisation; routes of the installation have none."""
        if self.chosen is None:
            raise LookupError("this route belongs to the installation")
        return self.chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Route(Generic[Query, Body]):
    """One route as data: what it does, who may use it, what it takes and gives.

    `answer` is the type that the description shows; a handler may return it or a ready response.
    `is_installation` marks routes that are about no organisation. `prefix` is empty for a route
    whose place programs expect at the top. A route that `is_open_to_subject` is also open, whatever
    their role, to the user whom `{name}` in its path names.
    """

    method: str
    path: str
    summary: str
    roles: frozenset[Role]
    query: type[Query]
    body: type[Body]
    answer: Any
    handler: Callable[[Call[Query, Body]], Awaitable[object]]
    is_installation: bool = False
    is_open_to_subject: bool = False
    media_type: str = "application/json"
    prefix: str = PREFIX

    @property
    def target(self) -> str:
        """The whole path."""
        return self.prefix + self.path


AnyRoute = Route[Any, Any]


def mount(route: AnyRoute, context: ControlContext) -> StarletteRoute:
    """The route for the router. INVARIANT: every handler is reached through here only."""

    async def endpoint(request: Request) -> Response:
        try:
            return await _serve(route, context, request)
        except RingfenceError as error:
            return respond(error)
        except Exception as error:  # noqa: BLE001 (the last line: answered, logged, never shown)
            return respond_to_unexpected(error)

    return StarletteRoute(route.target, endpoint, methods=[route.method])


async def _serve(route: AnyRoute, context: ControlContext, request: Request) -> Response:
    person = await access.identify(context, request.scope)
    is_own = route.is_open_to_subject and person.user == request.path_params.get("name")
    if not (is_own and person.roles):
        access.require(person, route.roles)
    query = _single_values(request)
    asked = query.pop("organisation", None)
    chosen = None if route.is_installation else access.choose(context, person, asked)
    call = Call(
        context=context,
        person=person,
        path=dict(request.path_params),
        query=_convert_query(query, route.query),
        body=await _read_body(request, route.body),
        chosen=chosen,
    )
    result = await route.handler(call)
    if isinstance(result, Response):
        response = result
    elif result is None:
        response = Response(status_code=204)
    else:
        response = Response(msgspec.json.encode(result), media_type="application/json")
    response.headers["cache-control"] = "no-store"
    return response


def _single_values(request: Request) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in values:
            raise UsageError("query_invalid", f"`{name}` is given twice")
        values[name] = value
    return values


def _convert_query(values: Mapping[str, str], kind: type[Query]) -> Query:
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError("query_invalid", _lowered("query", error)) from error


async def _read_body(request: Request, kind: type[Body]) -> Body:
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > BODY_LIMIT_BYTES:
            raise UsageError("body_too_large", f"the body is over {BODY_LIMIT_BYTES} bytes")
    if data and not request.headers.get("content-type", "").startswith("application/json"):
        raise UsageError("content_type", "the body must be `application/json`")
    try:
        return msgspec.json.decode(bytes(data) or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError("body_invalid", _lowered("body", error)) from error


def _lowered(where: str, error: Exception) -> str:
    text = str(error)
    return f"{where}: {text[:1].lower()}{text[1:]}"

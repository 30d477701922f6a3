"""The models an agent may use, in its client's form; what is out of scope is not listed."""

import msgspec

from ringfence.decisions import reason
from ringfence.domain.model import Dialect, ProviderProtocol
from ringfence.domain.verdict import Deny
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.live import Refusable
from ringfence.enforcement.model_call import ModelPath
from ringfence.enforcement.refusal import RequestedAction
from ringfence.enforcement.route import Route
from ringfence.gateways.answer import answer_refusal
from ringfence.gateways.model.endpoint import listed_model
from ringfence.transport.http import Headers, Request, Response

_JSON = ((b"content-type", b"application/json"),)
_CREATED = "2026-01-01T00:00:00Z"
"""Clients demand a date; aliases have none."""


def handle(caller: Caller, path: ModelPath, request: Request, response: Response) -> None:
    """Answer `GET /v1/models`, `/v1beta/models` and one entry of either."""
    dialect = dialect_of(request.path, request.headers)
    usable = path.usable_routes(caller)
    if isinstance(usable, Refusable):
        requested = RequestedAction(operation="models", invocation=caller.invocation or "")
        refused = path.refuse(caller, usable.verdict, requested)
        answer_refusal(request, response, dialect, refused)
        return
    routes = [route for route in usable if _speaks(route, dialect)]
    wanted = listed_model(request.path)
    if wanted is None:
        response.send(200, _JSON, msgspec.json.encode(_list(dialect, routes)))
        return
    for route in routes:
        if route.model.name == wanted:
            response.send(200, _JSON, msgspec.json.encode(_entry(dialect, route)))
            return
    agent = caller.runtime.agent
    names = [route.model.name for route in routes]
    verdict = Deny(reason=reason.out_of_scope(agent, "model", wanted, names))
    refused = path.refuse(caller, verdict, RequestedAction(resource=wanted, operation="models"))
    answer_refusal(request, response, dialect, refused)


def dialect_of(path: bytes, headers: Headers) -> Dialect:
    """OpenAI and Anthropic share a path; Anthropic's clients always send their version."""
    if path.startswith(b"/v1beta"):
        return Dialect.GEMINI
    versions = [value for name, value in headers if name == b"anthropic-version"]
    return Dialect.MESSAGES if versions else Dialect.CHAT


_PROTOCOLS = {
    Dialect.CHAT: ProviderProtocol.OPENAI,
    Dialect.MESSAGES: ProviderProtocol.ANTHROPIC,
    Dialect.GEMINI: ProviderProtocol.GEMINI,
}


def _speaks(route: Route, dialect: Dialect) -> bool:
    return route.protocol is _PROTOCOLS[dialect]


def _list(dialect: Dialect, routes: list[Route]) -> dict[str, object]:
    entries = [_entry(dialect, route) for route in routes]
    match dialect:
        case Dialect.GEMINI:
            return {"models": entries}
        case Dialect.MESSAGES:
            names = [route.model.name for route in routes]
            first, last = (names[0], names[-1]) if names else (None, None)
            return {"data": entries, "has_more": False, "first_id": first, "last_id": last}
        case _:
            return {"object": "list", "data": entries}


def _entry(dialect: Dialect, route: Route) -> dict[str, object]:
    name = route.model.name
    match dialect:
        case Dialect.GEMINI:
            methods = ["generateContent", "streamGenerateContent"]
            return {
                "name": f"models/{name}",
                "displayName": name,
                "supportedGenerationMethods": methods,
            }
        case Dialect.MESSAGES:
            return {"type": "model", "id": name, "display_name": name, "created_at": _CREATED}
        case _:
            return {"id": name, "object": "model", "created": 1767225600, "owned_by": "ringfence"}

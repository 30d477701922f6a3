"""Model calls: what a request may contain so that its price has a bound."""

from collections.abc import Iterable, Mapping

from ringfence.decisions import reason
from ringfence.domain.agent import Agent
from ringfence.domain.exchange import ModelRequest
from ringfence.domain.model import Model
from ringfence.domain.verdict import Reason

MAX_ANSWERS = 128
"""OpenAI's own maximum of `n` (API reference, "Create chat completion")."""

_DATE_DIGITS = 8
_NOTHING_OWNED: Mapping[str, int] = {}


def check(
    agent: Agent,
    model: Model,
    request: ModelRequest,
    owned_objects: Mapping[str, int] = _NOTHING_OWNED,
) -> Reason | None:
    """Why this request may not go to this model; None if it may.

    Ask for every model of the route. `owned_objects` maps the ids of objects at the provider that
    this agent (or its storage group) created to the input tokens they bring at most.
    """
    if request.hosted_tools:
        refused = _hosted(agent, model, request)
        if refused is not None:
            return refused
    for field in request.priced_fields:
        if field.name not in model.allow_priced_fields:
            return reason.priced_field(agent, field.name)
    if request.answers > MAX_ANSWERS:
        return reason.too_many_answers(agent, request.answers, MAX_ANSWERS)
    return _media(agent, model, request) or _outside(agent, request, owned_objects)


def outside_tokens(request: ModelRequest, owned_objects: Mapping[str, int]) -> int:
    """Input tokens that a request which passed `check` brings in from outside its body."""
    return sum(owned_objects[name] for name in request.provider_objects)


def hosted_uses(model: Model, request: ModelRequest) -> int:
    """The most uses of hosted tools in a call that goes to this model: its own bound, or less."""
    allowed, asked = model.hosted_uses or 0, request.hosted_uses
    return allowed if asked is None else min(allowed, asked)


def most_hosted_uses(models: Iterable[Model], request: ModelRequest) -> int:
    """The same for a call that may go to any of these models."""
    return max([hosted_uses(model, request) for model in models], default=0)


def with_hosted(model: Model, request: ModelRequest, input_tokens: int) -> int:
    """The input bound of a call in which the provider runs its tools.

    After each use the model reads everything again, and each reading is billed.
    """
    uses = hosted_uses(model, request)
    return input_tokens * (uses + 1) + uses * (model.hosted_tokens or 0)


def _hosted(agent: Agent, model: Model, request: ModelRequest) -> Reason | None:
    """A provider's own tools must be allowed, and what they can cost and bring in bounded."""
    for tool in request.hosted_tools:
        if not _is_named(tool.name, model.hosted_tools):
            return reason.hosted_tool(agent, tool.name)
    kind = "tools that the provider runs"
    if model.hosted_uses is None:
        return reason.unbounded_media(agent, kind, "hosted_uses")
    if model.hosted_tokens is None:
        return reason.unbounded_media(agent, kind, "hosted_tokens")
    asked = request.hosted_uses
    if asked is not None and asked > model.hosted_uses:
        return reason.too_many_uses(agent, asked, model.hosted_uses)
    return None


def _media(agent: Agent, model: Model, request: ModelRequest) -> Reason | None:
    if request.images and model.image_tokens is None:
        return reason.unbounded_media(agent, "images", "image_tokens")
    if request.media and model.media_tokens is None:
        return reason.unbounded_media(agent, "audio, video or documents", "media_tokens")
    return None


def _outside(agent: Agent, request: ModelRequest, owned: Mapping[str, int]) -> Reason | None:
    """Every outside input must name an object at the provider, and the agent must own it."""
    for name in request.provider_objects:
        if name not in owned:
            return reason.provider_object(agent, name)
    for field in request.outside_inputs:
        if field.value not in request.provider_objects:
            return reason.outside_input(agent, field.name)
    return None


def _is_named(tool: str, allowed: frozenset[str]) -> bool:
    """By its own name, or by its family: `web_search` allows `web_search_20260318`."""
    if tool in allowed:
        return True
    family, _, version = tool.rpartition("_")
    return len(version) == _DATE_DIGITS and version.isdigit() and family in allowed

"""What a call may cost: where it goes, what bounds it, and the most it can come to."""

from collections.abc import Mapping

import msgspec

from ringfence.decisions import model_call, output_limit, reason, scope
from ringfence.decisions.budget import Book
from ringfence.decisions.output_limit import OutputLimit
from ringfence.decisions.price import (
    affordable_output_tokens,
    dearest_uses,
    unpriced_hosted_tools,
    worst_case,
)
from ringfence.decisions.reservation import NO_COUNTS
from ringfence.domain.agent import Agent
from ringfence.domain.exchange import ModelRequest
from ringfence.domain.model import ProviderProtocol
from ringfence.domain.money import Money
from ringfence.domain.price import RateCard
from ringfence.domain.verdict import Reason
from ringfence.enforcement.declared_tool import Amended
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.input_bound import InputBounds
from ringfence.enforcement.live import LiveInvocation
from ringfence.enforcement.loop import Hinted
from ringfence.enforcement.provider_object import ProviderObjects
from ringfence.enforcement.route import Route, within

_NONE_OWNED: Mapping[str, int] = {}
_NO_USES: Mapping[str, int] = {}


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """A call that is in scope and has a bound: what is still to be paid for."""

    route: Route
    input_tokens: int
    output: OutputLimit
    worst: Money
    tokens: int
    """The most that it can use, of input and output together."""
    hint: Hinted | None = None
    """What is added to the request, for the model."""
    amended: Amended | None = None
    """What is sent instead of the request, for the provider."""


class Quotes:
    """Finds where a call goes and prices its worst case; reserves nothing."""

    def __init__(self, *, book: Book, bounds: InputBounds, objects: ProviderObjects) -> None:
        """Join the parts."""
        self._book = book
        self._bounds = bounds
        self._objects = objects

    def quote(  # noqa: PLR0913 (a call has these parts)
        self,
        caller: Caller,
        live: LiveInvocation,
        request: ModelRequest,
        protocol: ProviderProtocol,
        now_us: int,
        *,
        is_final: bool = True,
        is_patient: bool = False,
    ) -> Quote | Reason:
        """The quote of a call, or why it may not be made.

        Where the worst case does not fit but a useful answer does, the output limit is lowered;
        not before it `is_final` that no more money can be had, and not by what is withheld if the
        call `is_patient`.
        """
        runtime = caller.runtime
        agent = runtime.agent
        model = scope.model_in_scope(agent, runtime.organisation, request.model, live.models)
        if isinstance(model, Reason):
            return model
        route = runtime.routes[model.name]
        if route.protocol is not protocol:
            return reason.wrong_protocol(agent, model.name, route.protocol.value)
        if live.models is not None:
            route = within(route, live.models)
        owned = self._objects.owned(runtime) if request.provider_objects else _NONE_OWNED
        unfit = _unfit(agent, route, request, owned)
        if unfit is not None:
            return unfit
        if route.card is None:
            return reason.price_unknown(agent, model.name)
        input_tokens = self._bounds.tokens(runtime.organisation.id, route, request)
        if request.provider_objects:
            input_tokens += model_call.outside_tokens(request, owned)
        output = output_limit.output_limit(request.dialect, request.output_limit, agent)
        hosted = _hosted_uses(route, route.card, request)
        worst = worst_case(route.card, input_tokens, output.tokens, request.answers, hosted)
        left = self._book.left(live.demands, now_us) if is_final else None
        if (
            left is not None
            and worst > left
            and not (
                is_patient and self._book.is_withholding(live.demands, worst, now_us, NO_COUNTS)
            )
        ):
            affordable = affordable_output_tokens(
                route.card, left, input_tokens, request.answers, hosted
            )
            lowered = output_limit.within_budget(output, affordable)
            if lowered is not None:
                output = lowered
                worst = worst_case(route.card, input_tokens, output.tokens, request.answers, hosted)
        return Quote(
            route=route,
            input_tokens=input_tokens,
            output=output,
            worst=worst,
            tokens=input_tokens + output.tokens * request.answers,
        )


def _unfit(
    agent: Agent, route: Route, request: ModelRequest, owned: Mapping[str, int]
) -> Reason | None:
    """Why this request may not go to some leg of its route."""
    for leg in route.legs:
        unfit = model_call.check(agent, leg.model, request, owned)
        if unfit is not None:
            return unfit
    hosted = [tool.name for tool in request.hosted_tools]
    for leg in route.legs if hosted else ():
        card = leg.model.price or leg.model.ceiling
        unpriced = unpriced_hosted_tools(card, hosted) if card is not None else ()
        if unpriced:
            return reason.price_unknown(agent, f"{leg.model.name} with {unpriced[0]}")
    return None


def _hosted_uses(route: Route, card: RateCard, request: ModelRequest) -> Mapping[str, int]:
    if not request.hosted_tools:
        return _NO_USES
    uses = model_call.most_hosted_uses([leg.model for leg in route.legs], request)
    return dearest_uses(card, [tool.name for tool in request.hosted_tools], uses)

"""From the end of a call to the books: what it is charged, its outcome, what it teaches."""

import logging

from msgspec import structs

from ringfence.decisions import input_bound
from ringfence.decisions.model_call import hosted_uses
from ringfence.decisions.price import dearest_uses
from ringfence.decisions.settlement import Billing, Bounds, Charge, charge
from ringfence.domain.event import Outcome
from ringfence.domain.model import Dialect
from ringfence.domain.price import RateCard
from ringfence.enforcement.closing import Closing
from ringfence.enforcement.input_bound import InputBounds
from ringfence.enforcement.provider_object import ProviderObjects
from ringfence.enforcement.route import Leg
from ringfence.enforcement.ticket import Ending, Ticket
from ringfence.enforcement.watch import Watch
from ringfence.telemetry.metric import Meter
from ringfence.transport.clock import Clock

_LOG = logging.getLogger(__name__)

_WORD_CHARACTERS = 200
_TOOL_CALLS = 200
"""How much of a provider's own words an event keeps; a hostile one could send megabytes."""
_DISBELIEVED = "usage_impossible"
"""The mark of an outcome whose provider stated counts that no call can have."""


class Settlements:
    """Settles tickets; each ticket asks for it once (`Ticket.settle`)."""

    def __init__(  # noqa: PLR0913 (the parts that a settlement touches)
        self,
        *,
        closing: Closing,
        clock: Clock,
        bounds: InputBounds,
        objects: ProviderObjects,
        meter: Meter,
        watch: Watch,
    ) -> None:
        """Join the parts."""
        self._closing = closing
        self._clock = clock
        self._bounds = bounds
        self._objects = objects
        self._meter = meter
        self._watch = watch

    def settle(self, ticket: Ticket, ending: Ending) -> None:
        """Charge the call, move its money from reserved to spent and record the outcome."""
        now_us = self._clock.now_us()
        answer = ending.answer
        charged = _charge(ticket, ending)
        outcome = self._outcome(ticket, ending, charged, now_us)
        tokens = _tokens(ending, charged)
        self._closing.close(ticket, outcome, charged.amount, tokens, ending.body, now_us)
        self._meter.ended(ticket.intent, outcome)
        self._watch.ended(ticket, ending)
        if charged.usage is not None:
            runtime, request = ticket.caller.runtime, ticket.request
            self._bounds.learn(runtime.organisation.id, ending.leg, request, charged.usage)
            if request.dialect is Dialect.RESPONSES and answer.provider_object:
                self._objects.note(runtime, answer)

    def _outcome(self, ticket: Ticket, ending: Ending, charged: Charge, now_us: int) -> Outcome:
        """The event without what the books say."""
        answer = ending.answer
        outcome = self._closing.form(ticket, now_us)
        outcome.status = ending.status
        outcome.http_status = ending.http_status
        doubt = _DISBELIEVED if charged.is_disbelieved else ""
        outcome.error = (ending.error or answer.error or doubt)[:_WORD_CHARACTERS]
        outcome.finish = answer.finish[:_WORD_CHARACTERS]
        outcome.usage = charged.usage
        outcome.price_source = card_of(ending.leg).source
        outcome.attempts = ending.attempts
        outcome.first_byte_us = max(0, ending.first_byte_us - ticket.started_us)
        outcome.tool_calls = [name[:_WORD_CHARACTERS] for name in answer.tool_calls[:_TOOL_CALLS]]
        outcome.provider_object = answer.provider_object[:_WORD_CHARACTERS]
        outcome.response_model = answer.response_model[:_WORD_CHARACTERS]
        return outcome


def _tokens(ending: Ending, charged: Charge) -> int | None:
    """What the call used; None if that cannot be told."""
    if ending.billing is Billing.NONE:
        return 0
    usage = charged.usage
    return None if usage is None else usage.input_tokens + usage.output_tokens


def _charge(ticket: Ticket, ending: Ending) -> Charge:
    """What to charge; the reservation, if that cannot be told."""
    try:
        return charge_for(ticket, ending)
    except Exception:  # noqa: BLE001 (INVARIANT I3: there is always an outcome)
        _LOG.exception("a charge could not be computed; the reservation is charged")
        return Charge(amount=ticket.reservation.amount, usage=None)


def charge_for(ticket: Ticket, ending: Ending) -> Charge:
    """What an ended action is charged, at the price of the leg that answered.

    Chat Completions states no uses of hosted tools: all that were reserved are charged.
    """
    request, model = ticket.request, ending.leg.model
    card, usage = card_of(ending.leg), ending.answer.usage
    tools = [tool.name for tool in request.hosted_tools]
    hosted = dearest_uses(card, tools, hosted_uses(model, request))
    if hosted and usage is not None and request.dialect is Dialect.CHAT:
        usage = structs.replace(usage, hosted_uses=dict(hosted))
    return charge(
        ending.billing,
        card,
        usage,
        Bounds(
            reserved=ticket.reservation.amount,
            input_tokens=ticket.intent.input_bound,
            output_tokens=ticket.output_tokens_reserved,
            input_believed=input_bound.believable(ticket.intent.input_bound, len(request.body)),
            hosted_uses=hosted,
        ),
        len(ending.body),
    )


def card_of(leg: Leg) -> RateCard:
    """The price of one leg. A route without a price never gets as far as a ticket."""
    card = leg.model.price or leg.model.ceiling
    if card is None:
        raise ValueError("a leg without a price cannot be charged")
    return card

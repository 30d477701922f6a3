"""From the end of a call to the books: what it is charged, its outcome, what it teaches."""

import logging
from collections.abc import Sequence
from copy import copy

from msgspec import structs

from ringfence.decisions import input_bound
from ringfence.decisions.budget import Book, Reservation
from ringfence.decisions.model_call import hosted_uses
from ringfence.decisions.price import dearest_uses
from ringfence.decisions.settlement import Billing, Bounds, Charge, charge
from ringfence.domain.event import AnyEvent, Outcome
from ringfence.domain.model import Dialect
from ringfence.domain.price import RateCard
from ringfence.enforcement.directory import Directory
from ringfence.enforcement.form import account_lines_after, forms_of
from ringfence.enforcement.input_bound import InputBounds
from ringfence.enforcement.invocation import Invocations
from ringfence.enforcement.provider_object import ProviderObjects
from ringfence.enforcement.record import Ledger
from ringfence.enforcement.route import Leg
from ringfence.enforcement.ticket import Ending, Ticket
from ringfence.enforcement.watch import Watch
from ringfence.stores.body import Body
from ringfence.telemetry.metric import Meter
from ringfence.transport.clock import Clock

_LOG = logging.getLogger(__name__)

_WORD_CHARACTERS = 200
_TOOL_CALLS = 200
"""How much of a provider's own words an event keeps; a hostile one could send megabytes."""
_DISBELIEVED = "usage_impossible"
"""The mark of an outcome whose provider stated counts that no call can have."""


class Settlements:
    """Settles tickets; each ticket asks for it once (`Ticket.settle`).

    INVARIANT (I2): what a call has not used of its reservation is withheld until its outcome is
    durable; a crash before that charges the whole reservation.
    """

    def __init__(  # noqa: PLR0913 (the parts that a settlement touches)
        self,
        *,
        directory: Directory,
        invocations: Invocations,
        book: Book,
        ledger: Ledger,
        clock: Clock,
        bounds: InputBounds,
        objects: ProviderObjects,
        meter: Meter,
        watch: Watch,
    ) -> None:
        """Join the parts."""
        self._directory = directory
        self._invocations = invocations
        self._book = book
        self._ledger = ledger
        self._clock = clock
        self._bounds = bounds
        self._objects = objects
        self._meter = meter
        self._watch = watch
        self._withheld: dict[str, Reservation] = {}
        ledger.listen(self._written)

    def settle(self, ticket: Ticket, ending: Ending) -> None:
        """Charge the call, move its money from reserved to spent and record the outcome."""
        now_us = self._clock.now_us()
        live, answer = ticket.live, ending.answer
        live.running.discard(ticket)
        charged = _charge(ticket, ending)
        settled = self._book.settle(ticket.reservation, charged.amount, _tokens(ending, charged))
        outcome = self._outcome(ticket, ending, charged, now_us)
        outcome.cost_nano = str(settled.cost)
        outcome.overrun_nano = str(settled.overrun)
        outcome.accounts = account_lines_after(ticket.reservation, ticket.intent.accounts)
        self._withheld[outcome.action] = ticket.reservation
        self._ledger.record(outcome, Body(ending.body) if ending.body else None)
        self._meter.ended(ticket.intent, outcome)
        self._invocations.touch(live, now_us)
        self._watch.ended(ticket, ending)
        if charged.usage is not None:
            runtime, request = ticket.caller.runtime, ticket.request
            self._bounds.learn(runtime.organisation.id, ending.leg, request, charged.usage)
            if request.dialect is Dialect.RESPONSES and answer.provider_object:
                self._objects.note(runtime, answer)

    def _written(self, events: Sequence[AnyEvent]) -> None:
        """These are durable now."""
        for event in events:
            if isinstance(event, Outcome):
                reservation = self._withheld.pop(event.action, None)
                if reservation is not None:
                    self._book.free(reservation)

    def _outcome(self, ticket: Ticket, ending: Ending, charged: Charge, now_us: int) -> Outcome:
        """The event without what the books say."""
        answer, intent, started_us = ending.answer, ticket.intent, ticket.started_us
        outcome = copy(forms_of(ticket.caller, ticket.live, self._directory).outcome)
        outcome.time_us = str(now_us)
        outcome.action = intent.action
        outcome.status = ending.status
        outcome.http_status = ending.http_status
        doubt = _DISBELIEVED if charged.is_disbelieved else ""
        outcome.error = (ending.error or answer.error or doubt)[:_WORD_CHARACTERS]
        outcome.finish = answer.finish[:_WORD_CHARACTERS]
        outcome.usage = charged.usage
        outcome.reserved_nano = intent.reserved_nano
        outcome.price_source = card_of(ending.leg).source
        outcome.attempts = ending.attempts
        outcome.duration_us = self._clock.monotonic_us() - started_us
        outcome.first_byte_us = max(0, ending.first_byte_us - started_us)
        outcome.tool_calls = [name[:_WORD_CHARACTERS] for name in answer.tool_calls[:_TOOL_CALLS]]
        outcome.provider_object = answer.provider_object[:_WORD_CHARACTERS]
        outcome.response_model = answer.response_model[:_WORD_CHARACTERS]
        outcome.body_bytes = len(ending.body)
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

"""The end that actions of every kind share: the reservation settled, the outcome written."""

from collections.abc import Sequence
from typing import final

from ringfence.decisions.budget import Book
from ringfence.decisions.reservation import Reservation
from ringfence.domain.event import AnyEvent, Outcome
from ringfence.domain.money import Money
from ringfence.enforcement.directory import Directory
from ringfence.enforcement.form import account_lines_after, copied, forms_of
from ringfence.enforcement.invocation import Invocations
from ringfence.enforcement.record import Ledger
from ringfence.enforcement.ticket import ActionTicket
from ringfence.stores.body import Body
from ringfence.transport.clock import Clock


@final
class Closing:
    """Closes tickets of one worker; each is closed once.

    INVARIANT (I2): what a call has not used of its reservation is withheld until its outcome is
    durable; a crash before that charges the whole reservation.
    """

    def __init__(
        self,
        *,
        directory: Directory,
        invocations: Invocations,
        book: Book,
        ledger: Ledger,
        clock: Clock,
    ) -> None:
        """Join the parts; the ledger tells from now on what is durable."""
        self._directory = directory
        self._invocations = invocations
        self._book = book
        self._ledger = ledger
        self._clock = clock
        self._withheld: dict[str, Reservation] = {}
        ledger.listen(self._written)

    def form(self, ticket: ActionTicket, now_us: int) -> Outcome:
        """The outcome as far as it is the same for every kind, but for what the books say."""
        outcome = copied(forms_of(ticket.caller, ticket.live, self._directory).outcome)
        outcome.time_us = str(now_us)
        outcome.action = ticket.intent.action
        outcome.reserved_nano = ticket.intent.reserved_nano
        outcome.duration_us = self._clock.monotonic_us() - ticket.started_us
        return outcome

    def close(  # noqa: PLR0913, PLR0917 (an end has these parts)
        self,
        ticket: ActionTicket,
        outcome: Outcome,
        cost: Money,
        tokens: int | None,
        body: bytes,
        now_us: int,
    ) -> None:
        """Move the money from reserved to spent and record the outcome, with what the books say."""
        live, reservation = ticket.live, ticket.reservation
        live.running.discard(ticket)
        settled = self._book.settle(reservation, cost, tokens)
        outcome.cost_nano = str(settled.cost)
        outcome.overrun_nano = str(settled.overrun)
        outcome.accounts = account_lines_after(reservation, ticket.intent.accounts)
        outcome.body_bytes = len(body)
        self._withheld[outcome.action] = reservation
        self._ledger.record(outcome, Body(body) if body else None)
        self._invocations.touch(live, now_us)

    def _written(self, events: Sequence[AnyEvent]) -> None:
        """These are durable now."""
        for event in events:
            if type(event) is Outcome:
                reservation = self._withheld.pop(event.action, None)
                if reservation is not None:
                    self._book.free(reservation)

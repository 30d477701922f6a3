"""What a call asks of its accounts, what is set aside for it, and what its end makes of that."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import NamedTuple, final

import msgspec

from ringfence.decisions.period import Line, Period
from ringfence.domain.budget import AccountKey, Unit
from ringfence.domain.money import Money

_MEASURED = frozenset({Unit.TOKENS, Unit.HTTP_BYTES})
"""Counts of which a call is known to need so much only when it is over; a call has one of them."""


@dataclass(frozen=True, slots=True)
class Demand:
    """One account that a call draws on: its limit now in force, and the zone of its windows."""

    key: AccountKey
    limit: Money
    tz: tzinfo


class Count(NamedTuple):
    """How much of one counted limit a call needs, in the unit of its account."""

    demand: Demand
    amount: int


NO_COUNTS: tuple[Count, ...] = ()


class Shortfall(msgspec.Struct, frozen=True, kw_only=True):
    """Why a reservation was refused: the account with the least left."""

    line: Line
    needed: Money

    @property
    def resets_at_us(self) -> int | None:
        """When the budget starts again, UTC microseconds; None if it never does."""
        return self.line.window.end_us


Balance = tuple[int, int, int]
"""The start of an account's window, its limit and what is left of it."""


@final
class Reservation(msgspec.Struct, eq=False):
    """Money set aside in every account of one call until it is settled or released, once.

    What a settlement withholds, in money and in tokens, stays until `Book.free`. Made by
    `Book.reserve` alone.
    """

    _periods: Sequence[Period]
    amount: Money
    counted: Sequence[tuple[Period, int]] = ()
    is_open: bool = True
    withheld: int = 0
    withheld_tokens: int = 0

    def lines(self) -> tuple[Line, ...]:
        """The accounts it draws on, as they stand now, in the order of the demands."""
        return tuple([period.line() for period in self._periods])

    def balances(self) -> list[Balance]:
        """What `lines` says, as far as an event needs it and many times cheaper.

        What is withheld for this call is left: the event is its outcome, and frees it.
        """
        withheld = self.withheld
        return [
            (period.window.start_us, period.limit, period.limit - period.used + withheld)
            for period in self._periods
        ]

    def settled_periods(self) -> Sequence[Period]:
        """The accounts of money that it draws on."""
        return self._periods

    def periods(self) -> list[Period]:
        """Every account it draws on, counts too."""
        return [*self._periods, *[period for period, _ in self.counted]]

    def take(self) -> Sequence[Period]:
        """Close it, for the book. Raises RuntimeError if it was closed before."""
        if not self.is_open:
            raise RuntimeError("reservation was already settled or released")
        self.is_open = False
        return self._periods


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What a settlement did: the accounts after it, and the cost beyond the reservation.

    `overrun` is above zero only if a bound was wrong: a finding. `reservation` is the one that was
    settled; its accounts go on changing with other calls.
    """

    reservation: Reservation
    cost: Money
    overrun: Money

    @property
    def lines(self) -> tuple[Line, ...]:
        """The accounts as they stand now."""
        return self.reservation.lines()

    @property
    def closed(self) -> tuple[Line, ...]:
        """The accounts that are now overdrawn and let nothing through until covered."""
        return tuple(line for line in self.lines if line.is_closed)


def settle_counts(reservation: Reservation, tokens: int | None) -> None:
    """Charge its counts, and withhold what was not used of them; for `Book.settle`."""
    for period, amount in reservation.counted:
        used = tokens if tokens is not None and period.key.unit in _MEASURED else amount
        period.spent += used
        if used > amount:
            period.used += used - amount
            period.overrun += used - amount
        elif used < amount:
            period.withheld += amount - used
            reservation.withheld_tokens = amount - used


def free_tokens(reservation: Reservation) -> None:
    """Let what was withheld of a count be used; for `Book.free`."""
    rest, reservation.withheld_tokens = reservation.withheld_tokens, 0
    for period, _ in reservation.counted:
        if period.key.unit in _MEASURED:
            period.used -= rest
            period.withheld -= rest

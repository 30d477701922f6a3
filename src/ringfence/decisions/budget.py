"""The book of budgets: what is spent and reserved in every account, so that no limit is passed."""

from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import chain
from typing import TypeVar

from ringfence.decisions.due import Due
from ringfence.decisions.period import FOREVER_US, MINUTE_US, Line, Period
from ringfence.decisions.reservation import (
    NO_COUNTS,
    Count,
    Demand,
    Reservation,
    Settled,
    Shortfall,
    free_tokens,
    settle_counts,
)
from ringfence.decisions.window import window_of
from ringfence.domain.budget import AccountKey, BudgetScope, Unit, Window
from ringfence.domain.lease import Want
from ringfence.domain.money import ZERO, Money

LIVING = frozenset({BudgetScope.INVOCATION, BudgetScope.TREE})
"""Scopes whose holders come and go; their accounts vanish with `Book.forget`."""
MONEY = frozenset({Unit.MONEY})
_AT_ONCE = 1000
Account = TypeVar("Account")


class Book:
    """Accounts in memory; fed facts, gives values, never waits.

    What a call cost less than was reserved may be used again once its outcome is durable (`free`):
    after a crash a call without outcome is charged at its reservation, and must fit all the same.

    Windows are chosen at reservation and never go back; a settlement charges the windows chosen
    then. A cost above its reservation is charged in full. Where that leaves an account overdrawn,
    the account is closed: nothing passes it until a grant, a raised limit, cheaper settlements of
    other calls or the next window cover the overrun.
    """

    is_lent = False
    """Whether it holds slabs only, so that what lacks here may be had elsewhere."""

    def __init__(self) -> None:
        """Start without accounts; each opens at its first demand, or by `load`."""
        self._periods: dict[AccountKey, Period] = {}
        self._living: dict[str, list[AccountKey]] = {}
        self._due: Due[AccountKey] = Due()

    def __len__(self) -> int:
        """How many accounts are held in memory."""
        return len(self._periods)

    def load(
        self, key: AccountKey, window_start_us: int, spent: Money, granted: Money = ZERO
    ) -> None:
        """Take what the store knows of a window, before the first demand on it."""
        period = self._at(key, window_start_us)
        if period is not None:
            period.spent += spent
            period.used += spent
            period.granted += granted

    def grant(self, key: AccountKey, window_start_us: int, amount: Money) -> None:
        """Raise the limit of that window; without effect if a later window has begun."""
        period = self._at(key, window_start_us)
        if period is not None:
            period.granted += amount
            period.limit += amount

    def reserve(
        self,
        demands: Sequence[Demand],
        amount: Money,
        now_us: int,
        counts: Sequence[Count] = NO_COUNTS,
    ) -> Reservation | Shortfall:
        """Set the amount aside in all accounts at once, and every count, or nothing.

        INVARIANT: in each account, spent + reserved <= limit (I2).
        """
        if amount < 0:
            raise ValueError("a reservation cannot be negative")
        known, is_lent = self._periods, self.is_lent
        periods: list[Period] = []
        for demand in demands:  # as `_current`, without a call for each
            period = known.get(demand.key)
            if period is None or now_us >= period.end_us:
                period = self._roll(demand, now_us, period)
            if not is_lent:
                period.limit = period.cap = demand.limit + period.granted
            if period.used + amount > period.cap:
                for taken in periods:
                    taken.used -= amount
                return self._shortfall(demands, amount, now_us)
            period.used += amount
            periods.append(period)
        if not counts:
            return Reservation(periods, amount)
        counted = self._count(counts, now_us)
        if isinstance(counted, Shortfall):
            for taken in periods:
                taken.used -= amount
            return counted
        return Reservation(periods, amount, counted)

    def settle(self, reservation: Reservation, cost: Money, tokens: int | None = None) -> Settled:
        """Charge the cost and withhold the rest of the reservation until `free`.

        `tokens` are what the call used, for limits that count them, or the bytes of a request
        through egress; None charges what was reserved.
        Raises RuntimeError if done before.
        """
        if cost < 0:
            raise ValueError("a cost cannot be negative")
        rest = reservation.amount - cost
        periods = reservation.take()
        if not (rest or cost):
            pass  # what costs nothing moves no money
        elif rest >= 0:
            reservation.withheld = rest
            for period in periods:
                period.spent += cost
                period.withheld += rest
        else:
            for period in periods:
                period.spent += cost
                period.used -= rest
                period.overrun -= rest
        if reservation.counted:
            settle_counts(reservation, tokens)
        overrun = ZERO if rest >= 0 else Money(-rest)
        return Settled(reservation=reservation, cost=cost, overrun=overrun)

    def free(self, reservation: Reservation) -> None:
        """Let what its settlement withheld be used: the outcome is durable. May be repeated."""
        rest = reservation.withheld
        if rest:
            reservation.withheld = 0
            for period in reservation.settled_periods():
                period.used -= rest
                period.withheld -= rest
        if reservation.withheld_tokens:
            free_tokens(reservation)

    def release(self, reservation: Reservation) -> None:
        """Give everything back: the call was not made. Raises RuntimeError if done before.

        What a rate has counted stays counted.
        """
        for period in reservation.take():
            period.used -= reservation.amount
        for period, amount in reservation.counted:
            period.used -= amount

    def wants(
        self, demands: Sequence[Demand], amount: Money, now_us: int, counts: Sequence[Count]
    ) -> tuple[Want, ...]:
        """What could be lent to make this reservation possible: nothing, for all is held here."""
        del demands, amount, now_us, counts
        return ()

    def whole_wants(
        self, demands: Sequence[Demand], amount: Money, now_us: int, counts: Sequence[Count]
    ) -> tuple[Want, ...]:
        """The same for a call that has asked before."""
        return self.wants(demands, amount, now_us, counts)

    def is_withholding(
        self, demands: Sequence[Demand], amount: Money, now_us: int, counts: Sequence[Count]
    ) -> bool:
        """Whether some of what lacks for this reservation is withheld."""
        needed = [Count(demand, amount) for demand in demands]
        for demand, each in (*needed, *counts):
            period = self._current(demand, now_us)
            if period.withheld and period.used + each > period.cap:
                return True
        return False

    def lines(self, demands: Sequence[Demand], now_us: int) -> tuple[Line, ...]:
        """The accounts of these demands as they stand now."""
        return tuple([self._current(demand, now_us).line() for demand in demands])

    def standing(
        self, organisation: str, now_us: int, units: Container[Unit] = MONEY
    ) -> tuple[Line, ...]:
        """Every account of an organisation that has been used in a window that is not over.

        One that was loaded and not yet asked for is among them: its window ends where it starts,
        for neither its end nor its limit is known here, and it may be over.
        """
        return tuple(chain.from_iterable(self.standing_in_turns(organisation, now_us, units)))

    def standing_in_turns(
        self, organisation: str, now_us: int, units: Container[Unit] = MONEY
    ) -> Iterator[list[Line]]:
        """The same in parts, each after so many accounts of all that a loop need not stand still.

        The accounts are those of the first part's moment, and each is as it stands at its own.
        """
        for some in parts(list(self._periods.values())):
            yield [
                period.line()
                for period in some
                if period.key.organisation == organisation
                and period.key.unit in units
                and (period.end_us > now_us or period.end_us == period.window.start_us)
            ]

    def left(self, demands: Sequence[Demand], now_us: int) -> Money | None:
        """The most that `reserve` would grant now; None where no budget applies."""
        least: int | None = None
        for demand in demands:
            period = self._current(demand, now_us)
            left = period.cap + period.bar - period.used
            if least is None or left < least:
                least = left
        return None if least is None else Money(least)

    def forget(self, holder: str) -> None:
        """Drop the accounts of a closed invocation or tree; open reservations on it still settle.

        Nothing may be reserved for this holder again.
        """
        for key in self._living.pop(holder, ()):
            del self._periods[key]

    def drop_past(self, now_us: int) -> int:
        """Drop the accounts whose window is over, and say how many; for a call now and then."""
        past = 0
        for key in self._due.take(now_us):
            period = self._periods.get(key)
            if period is None:
                continue
            if period.end_us <= now_us and period.is_past(now_us):
                del self._periods[key]
                past += 1
            else:
                self._plan(period, now_us)
        return past

    def keys(self) -> Iterable[AccountKey]:
        """The accounts held in memory."""
        return self._periods.keys()

    def _current(self, demand: Demand, now_us: int) -> Period:
        period = self._periods.get(demand.key)
        if period is None or now_us >= period.end_us:
            period = self._roll(demand, now_us, period)
        period.limit = period.cap = demand.limit + period.granted
        return period

    def _roll(self, demand: Demand, now_us: int, known: Period | None) -> Period:
        """Begin the window of now, or learn the end of one that `load` or `grant` began."""
        if known is not None and known.times:
            known.fade(now_us)
            return known
        window = window_of(demand.key.per, now_us, demand.tz)
        if known is not None and known.window.start_us >= window.start_us:
            known.begin(Window(known.window.start_us, window.end_us))
            self._plan(known)
            return known
        return self._put(Period(demand.key, window))

    def _at(self, key: AccountKey, window_start_us: int) -> Period | None:
        """The period of that start, begun if it is new; None if a later one is known.

        A period that begins here ends where it starts until a demand brings the zone.
        """
        known = self._periods.get(key)
        if known is None or known.window.start_us < window_start_us:
            return self._put(Period(key, Window(window_start_us, window_start_us)))
        return known if known.window.start_us == window_start_us else None

    def _put(self, period: Period) -> Period:
        key = period.key
        if key.scope in LIVING and key not in self._periods:
            self._living.setdefault(key.holder, []).append(key)
        self._periods[key] = period
        self._plan(period)
        return period

    def _plan(self, period: Period, now_us: int = 0) -> None:
        """Have a period dropped once it is over; one whose end is not known is planned later."""
        if period.window.start_us < period.end_us < FOREVER_US:
            last_us = period.times[-1] + MINUTE_US if period.times else 0
            self._due.put(period.key, max(period.end_us, last_us, now_us))

    def _count(self, counts: Sequence[Count], now_us: int) -> list[tuple[Period, int]] | Shortfall:
        """Set every count aside, or none; a rate counts at once, for whatever becomes of it.

        What is used up for good is told before a rate, for which waiting helps.
        """
        counted: list[tuple[Period, int]] = []
        rates: list[Period] = []
        short: Shortfall | None = None
        for demand, amount in counts:
            period = self._current(demand, now_us)
            if period.used + amount > period.cap:
                if short is None or period.times is None:
                    short = Shortfall(line=period.line(), needed=Money(amount))
                if period.times is None:
                    break
            elif period.times is not None:
                rates.append(period)
            else:
                period.used += amount
                counted.append((period, amount))
        if short is not None:
            for taken, part in counted:
                taken.used -= part
            return short
        for period in rates:
            period.used += 1
            period.pass_on((now_us,))
            self._plan(period)
        return counted

    def _shortfall(self, demands: Sequence[Demand], needed: Money, now_us: int) -> Shortfall:
        """The tightest account; of equals the first, which is the narrowest."""
        tightest = min(self.lines(demands, now_us), key=lambda line: line.left)
        return Shortfall(line=tightest, needed=needed)


def parts(accounts: list[Account]) -> Iterator[list[Account]]:
    """A long list in parts that are gone through in about a millisecond."""
    for start in range(0, len(accounts), _AT_ONCE):
        yield accounts[start : start + _AT_ONCE]

"""The book of budgets: what is spent and reserved in every account, so that no limit is passed."""

from collections import deque
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from itertools import chain
from typing import NamedTuple, TypeVar, final

import msgspec

from ringfence.decisions.due import Due
from ringfence.decisions.window import window_of
from ringfence.domain.budget import AccountKey, BudgetScope, Unit, Window
from ringfence.domain.lease import Want
from ringfence.domain.money import ZERO, Money

FOREVER_US = 2**63
MINUTE_US = 60_000_000
LIVING = frozenset({BudgetScope.INVOCATION, BudgetScope.TREE})
"""Scopes whose holders come and go; their accounts vanish with `Book.forget`."""


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


MONEY = frozenset({Unit.MONEY})
_MEASURED = frozenset({Unit.TOKENS, Unit.HTTP_BYTES})
"""Counts of which a call is known to need so much only when it is over; a call has one of them."""
_AT_ONCE = 1000
Account = TypeVar("Account")
NO_COUNTS: tuple[Count, ...] = ()


class Line(msgspec.Struct, frozen=True):
    """One account as it stands: its window, and its money in nano-dollars or what else it counts.

    `limit` includes grants. `overrun` is how much was charged beyond reservations in this window.
    """

    key: AccountKey
    window: Window
    limit: Money
    spent: Money
    reserved: Money
    overrun: Money

    @property
    def left(self) -> Money:
        """What can still be reserved; negative while an overrun or a lowered limit is uncovered."""
        return Money(self.limit - self.spent - self.reserved)

    @property
    def is_closed(self) -> bool:
        """Whether nothing is let through, not even a call that costs nothing."""
        return self.left < 0


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


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What a settlement did: the accounts after it, and the cost beyond the reservation.

    `overrun` is above zero only if a bound was wrong: a finding. `reservation` is the one that was
    settled; its accounts go on changing with other calls.
    """

    reservation: "Reservation"
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


class Period:
    """One account in one window. It lives as long as the book or a reservation does.

    `cap` is how far `used` may go here: the limit, where this book holds all of it. `elsewhere` is
    what others use or hold, as far as it is known here; `spent` is without it. `bar` keeps
    it closed while it is overdrawn (`decisions.slab`). `withheld` is the part of what is reserved
    that settled calls have not cost, and whose outcomes are not durable yet.

    INVARIANT: used = elsewhere + spent + reserved; used <= cap + overrun, unless it was lowered.
    """

    __slots__ = (
        "bar",
        "cap",
        "elsewhere",
        "end_us",
        "granted",
        "key",
        "limit",
        "overrun",
        "spent",
        "times",
        "used",
        "window",
        "withheld",
    )

    def __init__(self, key: AccountKey, window: Window) -> None:
        """Nothing is used, and nothing may be."""
        self.key = key
        self.begin(window)
        self.limit = 0
        self.cap = 0
        self.granted = 0
        self.bar = 0
        self.spent = 0
        self.used = 0
        self.elsewhere = 0
        self.overrun = 0
        self.withheld = 0
        self.times: deque[int] | None = None
        if key.unit is Unit.CALLS_PER_MINUTE:
            self.times = deque()

    def begin(self, window: Window) -> None:
        """Take this window as its own."""
        self.window = window
        self.end_us = FOREVER_US if window.end_us is None else window.end_us

    @property
    def reserved(self) -> int:
        """What is set aside here for calls under way, and what is withheld."""
        return self.used - self.elsewhere - self.spent

    def line(self) -> Line:
        """The account as it is known here. The window of a rate ends when more may be had."""
        window = self.window
        if self.times is not None and self.end_us < FOREVER_US:
            window = Window(0, self.end_us)
        return Line(
            self.key,
            window,
            Money(self.limit),
            Money(self.elsewhere + self.spent),
            Money(self.reserved),
            Money(self.overrun),
        )

    def pass_on(self, times: Sequence[int]) -> None:
        """Count what has happened; for a rate, which counts it for a minute."""
        if self.times is not None:
            self.times.extend(times)
            self.spent += len(times)
            self.end_us = self.times[0] + MINUTE_US

    def is_past(self, now_us: int) -> bool:
        """Whether nothing that was counted here counts any longer."""
        return not self.times or self.times[-1] <= now_us - MINUTE_US

    def fade(self, now_us: int) -> None:
        """Let go of what a rate has counted for a minute."""
        times = self.times
        while times and times[0] <= now_us - MINUTE_US:
            times.popleft()
            self.spent -= 1
            self.used -= 1
        self.end_us = times[0] + MINUTE_US if times else FOREVER_US


@final
class Reservation:
    """Money set aside in every account of one call until it is settled or released, once.

    What a settlement withholds, in money and in tokens, stays until `Book.free`.
    """

    __slots__ = ("_periods", "amount", "counted", "is_open", "withheld", "withheld_tokens")

    def __init__(
        self,
        periods: Sequence[Period],
        amount: Money,
        counted: Sequence[tuple[Period, int]] = (),
    ) -> None:
        """Made by `Book.reserve` alone."""
        self._periods = periods
        self.amount = amount
        self.counted = counted
        self.is_open = True
        self.withheld = 0
        self.withheld_tokens = 0

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

        INVARIANT: in each account, spent + reserved <= limit (DESIGN I2).
        """
        if amount < 0:
            raise ValueError("a reservation cannot be negative")
        periods: list[Period] = []
        for demand in demands:
            period = self._current(demand, now_us)
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
        if rest >= 0:
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
            _settle_counts(reservation, tokens)
        return Settled(reservation=reservation, cost=cost, overrun=Money(max(-rest, 0)))

    def free(self, reservation: Reservation) -> None:
        """Let what its settlement withheld be used: the outcome is durable. May be repeated."""
        rest = reservation.withheld
        if rest:
            reservation.withheld = 0
            for period in reservation.settled_periods():
                period.used -= rest
                period.withheld -= rest
        if reservation.withheld_tokens:
            _free_tokens(reservation)

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


def _settle_counts(reservation: Reservation, tokens: int | None) -> None:
    for period, amount in reservation.counted:
        used = tokens if tokens is not None and period.key.unit in _MEASURED else amount
        period.spent += used
        if used > amount:
            period.used += used - amount
            period.overrun += used - amount
        elif used < amount:
            period.withheld += amount - used
            reservation.withheld_tokens = amount - used


def _free_tokens(reservation: Reservation) -> None:
    rest, reservation.withheld_tokens = reservation.withheld_tokens, 0
    for period, _ in reservation.counted:
        if period.key.unit in _MEASURED:
            period.used -= rest
            period.withheld -= rest

"""A worker's part of shared limits: it reserves from slabs that the broker has lent it.

In every account `cap - elsewhere` is what the worker holds by the broker's count, once it has
reported what it spent. What it says and what it is told commute: no order of messages harms.
"""

from collections.abc import Iterable, Sequence
from typing import Final, final

from ringfence.decisions.budget import LIVING, Book
from ringfence.decisions.period import FOREVER_US, Period
from ringfence.decisions.reservation import (
    NO_COUNTS,
    Count,
    Demand,
    Reservation,
    Settled,
    Shortfall,
)
from ringfence.domain.budget import AccountKey, Unit, Window
from ringfence.domain.lease import Report, Returned, Slab, Spent, Want
from ringfence.domain.money import ZERO, Money

CALLS_AHEAD: Final = 16
"""How many calls like the present one a slab should serve if all cost their worst case."""
COUNTS_AHEAD: Final = 64
"""The same for what is counted one by one."""
ASKED_IN_PART: Final = 2
"""So often a call asks for what it lacks alone; then for everything at once, see `whole_wants`."""
_SHUT: Final = 2**62
"""More than any limit."""
_FORGOTTEN_KEPT: Final = 4_096

_Place = tuple[AccountKey, int]


def wants_of_run(demands: Sequence[Demand], counts: Sequence[Count], amount: int) -> list[Want]:
    """What a call needs of the accounts that begin and end with its run, if nothing is held yet."""
    needed = (*(Count(demand, amount) for demand in demands), *counts)
    return [
        Want(
            key=demand.key,
            window_start_us=0,
            window_end_us=None,
            limit=demand.limit,
            need=each,
            each=each,
            calls=_calls_ahead(demand.key),
        )
        for demand, each in needed
        if demand.key.scope in LIVING and each > 0
    ]


def is_covered(wants: Sequence[Want], asked: Sequence[Want]) -> bool:
    """Whether only accounts are lacking that were asked for: else the answer does not settle it."""
    places = {(each.key, each.window_start_us) for each in asked}
    return all((each.key, each.window_start_us) in places for each in wants)


@final
class LentBook(Book):
    """A book that holds slabs. What lacks here may be had from the broker: see `wants`."""

    is_lent = True

    def __init__(self) -> None:
        """Nothing has been lent yet."""
        super().__init__()
        self._touched: dict[Period, None] = {}
        """What must be reported, in order; by identity, since three times a call adds to it."""
        self._past: dict[_Place, Period] = {}
        self._returned: list[Returned] = []
        self._forgotten: dict[str, None] = {}
        self._resting: set[AccountKey] = set()
        """Rates that nothing has drawn on since `drop_past` looked last."""
        self._drawn: set[AccountKey] = set()
        """Those that are new since then, or that something has drawn on."""

    def reserve(
        self,
        demands: Sequence[Demand],
        amount: Money,
        now_us: int,
        counts: Sequence[Count] = NO_COUNTS,
    ) -> Reservation | Shortfall:
        """Set everything aside at once from what has been lent, or nothing."""
        reserved = super().reserve(demands, amount, now_us, counts)
        if isinstance(reserved, Reservation):
            self._touch(reserved)
            for demand, _ in counts:
                if demand.key.unit is Unit.CALLS_PER_MINUTE:
                    self._touched[self._periods[demand.key]] = None
                    self._resting.discard(demand.key)
                    self._drawn.add(demand.key)
        return reserved

    def settle(self, reservation: Reservation, cost: Money, tokens: int | None = None) -> Settled:
        """Charge the cost in place of the reservation, and remember to report it."""
        settled = super().settle(reservation, cost, tokens)
        self._touch(reservation)
        return settled

    def free(self, reservation: Reservation) -> None:
        """Let what was withheld be used here, and remember to report that it is not set aside."""
        super().free(reservation)
        self._touch(reservation)

    def is_withholding_in(self, accounts: Iterable[_Place]) -> bool:
        """Whether these accounts will have more idle once outcomes are durable."""
        return any(
            period is not None and period.withheld
            for period in (self._find(*place) for place in accounts)
        )

    def release(self, reservation: Reservation) -> None:
        """Give everything back to what is idle here."""
        super().release(reservation)
        self._touch(reservation)

    def wants(
        self, demands: Sequence[Demand], amount: Money, now_us: int, counts: Sequence[Count]
    ) -> tuple[Want, ...]:
        """What must be lent for this call to be reserved; empty if nothing is lacking here."""
        needed = [Count(demand, amount) for demand in demands]
        wants = []
        for demand, each in (*needed, *counts):
            period = self._current(demand, now_us)
            if period.bar:
                self._give_back(period)  # the broker alone can tell what may still be used
            missing = period.used + each - period.cap
            if missing > 0:
                wants.append(_want(demand, period, missing - period.bar, each))
        return tuple(wants)

    def whole_wants(
        self, demands: Sequence[Demand], amount: Money, now_us: int, counts: Sequence[Count]
    ) -> tuple[Want, ...]:
        """The same for all accounts of the call: what is idle in them goes back with the question.

        For a call that has asked before. Two that each hold what the other lacks would else trade
        it for ever; the broker gives everything at once to whoever asks for everything.
        """
        for demand in (*demands, *(each.demand for each in counts)):
            self._give_back(self._current(demand, now_us))
        return self.wants(demands, amount, now_us, counts)

    def receive(self, slabs: Iterable[Slab], frees_us: int = 0) -> None:
        """Take what the broker lends, also of a window that is over by now.

        `frees_us` is when more of a rate may be had, if that is known.
        """
        for slab in slabs:
            if slab.key.holder in self._forgotten:
                continue
            period = self._open(slab)
            _lend(period, slab)
            if period.times is not None:
                period.end_us = frees_us or FOREVER_US

    def report(self) -> Report:
        """What has been spent since the last report, and what is of no more use here."""
        touched, self._touched = self._touched, {}
        for place, period in list(self._past.items()):
            touched[period] = None
            self._give_back(period)
            if not period.reserved:
                del self._past[place]
        returned, self._returned = self._returned, []
        return Report(spent=tuple(map(_spent, touched)), returned=tuple(returned))

    def give_back(self, accounts: Iterable[_Place]) -> Report:
        """Report, and give back everything that is idle in these accounts."""
        for place in accounts:
            period = self._find(*place)
            if period is not None:
                self._touched[period] = None
                self._give_back(period)
        return self.report()

    def restate(self) -> Report:
        """Give back everything idle: limits may be lower now, and only the broker can tell."""
        for period in self._periods.values():
            _bar(period, is_closed=True)
        return self.give_back([(period.key, period.window.start_us) for period in self.held()])

    def forget(self, holder: str) -> None:
        """Drop the accounts of a closed invocation; the broker has dropped them too."""
        for key in self._living.get(holder, ()):
            self._touched.pop(self._periods[key], None)
        super().forget(holder)
        self._forgotten[holder] = None
        if len(self._forgotten) > _FORGOTTEN_KEPT:
            del self._forgotten[next(iter(self._forgotten))]

    def drop_past(self, now_us: int) -> int:
        """Drop what is over, windows and rates at rest; what is left of their slabs goes back.

        Report in the same turn.
        """
        found = [self._periods.get(key) for key in self._due.take(now_us)]
        windows = [each for each in found if each is not None and each.times is None]
        over = [each for each in windows if each.end_us <= now_us]
        for each in windows:
            if each.end_us > now_us:
                self._plan(each)
        over += [self._periods[key] for key in self._resting if key in self._periods]
        self._resting, self._drawn = self._drawn, set()
        for period in over:
            self._past[period.key, period.window.start_us] = self._periods.pop(period.key)
        return len(over)

    def grant(self, key: AccountKey, window_start_us: int, amount: Money) -> None:
        """Nothing changes here: it is the broker that lends more."""

    def load(
        self, key: AccountKey, window_start_us: int, spent: Money, granted: Money = ZERO
    ) -> None:
        """Nothing changes here: it is the broker that knows what was spent before."""

    def _put(self, period: Period) -> Period:
        if period.times is not None:
            self._drawn.add(period.key)
        return super()._put(period)

    def _current(self, demand: Demand, now_us: int) -> Period:
        period = self._periods.get(demand.key)
        if period is None or now_us >= period.end_us:
            period = self._roll(demand, now_us, period)
        return period

    def _roll(self, demand: Demand, now_us: int, known: Period | None) -> Period:
        """Begin the window of now; what was lent for the one before goes back."""
        if known is not None and known.times is not None:
            known.end_us = FOREVER_US  # it is the broker that lets a rate fade
            return known
        if known is not None:
            self._past[known.key, known.window.start_us] = known
        period = super()._roll(demand, now_us, None)
        _bar(period, is_closed=True)  # the broker must know an account before it is charged
        return period

    def _open(self, slab: Slab) -> Period:
        """The period that a slab is for, begun if it is new."""
        found = self._find(slab.key, slab.window_start_us)
        if found is not None:
            return found
        period = Period(slab.key, Window(slab.window_start_us, slab.window_end_us))
        known = self._periods.get(slab.key)
        if known is not None and known.window.start_us > slab.window_start_us:
            self._past[slab.key, slab.window_start_us] = period
            return period
        if known is not None:
            self._past[known.key, known.window.start_us] = known
        return self._put(period)

    def held(self) -> Iterable[Period]:
        """Every account of which something is or was lent here."""
        return (*self._periods.values(), *self._past.values())

    def _give_back(self, period: Period) -> None:
        idle = period.cap + period.bar - period.used
        if idle > 0:
            period.cap -= idle
            self._returned.append(Returned(period.key, period.window.start_us, idle))

    def _find(self, key: AccountKey, window_start_us: int) -> Period | None:
        period = self._periods.get(key)
        if period is not None and period.window.start_us == window_start_us:
            return period
        return self._past.get((key, window_start_us))

    def _touch(self, reservation: Reservation) -> None:
        touched = self._touched
        for period in reservation.periods():
            touched[period] = None


def _want(demand: Demand, period: Period, missing: int, each: int) -> Want:
    return Want(
        key=demand.key,
        window_start_us=period.window.start_us,
        window_end_us=period.window.end_us,
        limit=demand.limit,
        need=missing,
        each=each,
        calls=_calls_ahead(demand.key),
    )


def _calls_ahead(key: AccountKey) -> int:
    return CALLS_AHEAD if key.unit in _BY_SIZE else COUNTS_AHEAD


_BY_SIZE: Final = frozenset({Unit.MONEY, Unit.TOKENS, Unit.HTTP_BYTES})
"""Units in which one call may need very much more than another."""


def _lend(period: Period, slab: Slab) -> None:
    """Take a slab, and with it how the account stands: `limit - free` is used or held by all."""
    idle = period.cap + period.bar - period.used + slab.amount
    reserved = period.reserved
    period.limit = slab.limit
    period.bar = 0
    period.cap = slab.limit - slab.free
    period.used = period.cap - idle
    period.elsewhere = period.used - period.spent - reserved
    _bar(period, is_closed=slab.free < 0)


def _bar(period: Period, *, is_closed: bool) -> None:
    """Let nothing through an account, not even a call that costs nothing, or let it through again.

    `cap + bar` is what `cap` would be without it.
    """
    period.cap += period.bar
    period.bar = _SHUT if is_closed else 0
    period.cap -= period.bar


def _spent(period: Period) -> Spent:
    """Report a period. From now on the broker counts what it says, so that it counts elsewhere."""
    uncovered = max(0, period.used - period.cap - period.bar)
    times = tuple(period.times) if period.times is not None else ()
    said = Spent(
        key=period.key,
        window_start_us=period.window.start_us,
        amount=period.spent,
        uncovered=uncovered,
        overrun=period.overrun,
        reserved=period.reserved,
        times_us=times,
    )
    if uncovered:
        period.cap += uncovered
        _bar(period, is_closed=True)
    period.elsewhere += period.spent
    period.spent = period.overrun = 0
    if period.times is not None:
        period.times.clear()
    return said

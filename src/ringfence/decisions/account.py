"""One shared limit in one window: what is spent of it, and who holds which part of the rest."""

from collections import deque
from collections.abc import Set as AbstractSet
from typing import Final, final

from ringfence.decisions.period import MINUTE_US, Line
from ringfence.domain.budget import AccountKey, Per, Unit, Window
from ringfence.domain.lease import AccountState, Holder
from ringfence.domain.money import Money

UNPROVEN: Final = frozenset({Unit.CALLS_PER_MINUTE, Unit.TOKENS, Unit.HTTP_BYTES})
"""What no ledger sums: of a dead holder's part nobody can say that it was not used."""
_ENDLESS: Final = frozenset({Per.INVOCATION, Per.TREE, Per.TOTAL})

Place = tuple[AccountKey, int]
"""An account and the start of its window."""


@final
class Account:
    """One account of the broker (`decisions.lease`)."""

    __slots__ = (
        "end_us",
        "epoch",
        "granted",
        "key",
        "lent",
        "overrun",
        "reserved",
        "spent",
        "start_us",
        "stated",
        "times",
        "told",
        "waiting",
    )

    def __init__(self, key: AccountKey, start_us: int) -> None:
        """Nothing is spent. A window ends where it starts until a want brings its end."""
        self.key = key
        self.start_us = start_us
        self.end_us: int | None = None if key.per in _ENDLESS else start_us
        self.stated = 0
        self.epoch = -1
        self.granted = 0
        self.spent = 0
        self.overrun = 0
        self.lent: dict[Holder, int] = {}
        self.reserved: dict[Holder, int] = {}
        self.told: dict[Holder, int] = {}
        """What each holder has reported as spent in all."""
        self.times: deque[int] = deque()
        self.waiting: dict[Holder, int] = {}
        """Who is recalling this account now, and how many of its takes."""

    @classmethod
    def of(cls, state: AccountState) -> "Account":
        """The account that a state describes."""
        account = cls(state.key, state.start_us)
        account.end_us = state.end_us
        account.stated, account.epoch, account.granted = state.stated, state.epoch, state.granted
        account.spent, account.overrun = state.spent, state.overrun
        account.lent, account.reserved = dict(state.lent), dict(state.reserved)
        account.told, account.waiting = dict(state.told), dict(state.waiting)
        account.times = deque(state.times_us)
        return account

    def state(self) -> AccountState:
        """All there is to know of it, as plain data."""
        return AccountState(
            key=self.key,
            start_us=self.start_us,
            end_us=self.end_us,
            stated=self.stated,
            epoch=self.epoch,
            granted=self.granted,
            spent=self.spent,
            overrun=self.overrun,
            lent=dict(self.lent),
            reserved={holder: amount for holder, amount in self.reserved.items() if amount},
            told=dict(self.told),
            waiting=dict(self.waiting),
            times_us=tuple(self.times),
        )

    @property
    def limit(self) -> int:
        """Grants included."""
        return self.stated + self.granted

    @property
    def free(self) -> int:
        """Held by nobody; below zero while an overrun or a lowered limit is uncovered."""
        return self.stated + self.granted - self.spent - sum(self.lent.values())

    def holders(self) -> AbstractSet[Holder]:
        """Who has or had something of it."""
        return {*self.lent, *self.told, *self.waiting}

    def idle_us(self) -> int | None:
        """From when on nothing that was counted here counts any longer; None while it may."""
        if self.lent or self.waiting:
            return None
        if self.key.unit is Unit.CALLS_PER_MINUTE:
            return None if self.granted else (self.times[-1] if self.times else 0) + MINUTE_US
        return self.end_us if self.end_us is not None and self.end_us > self.start_us else None

    def is_past(self, now_us: int) -> bool:
        """Whether nothing that was counted here counts any longer, and nobody holds any of it."""
        idle_us = self.idle_us()
        return idle_us is not None and idle_us <= now_us

    def fade(self, now_us: int) -> None:
        """Let go of what a rate has counted for a minute."""
        while self.times and self.times[0] <= now_us - MINUTE_US:
            self.times.popleft()
            self.spent -= 1

    def shorten(self, holder: Holder, amount: int) -> None:
        """A holder has so much less of it."""
        left = self.lent.get(holder, 0) - amount
        if left > 0:
            self.lent[holder] = left
        else:
            self.lent.pop(holder, None)

    def waits_less(self, holder: Holder) -> None:
        """One take of a holder waits no longer."""
        left = self.waiting.get(holder, 0) - 1
        if left > 0:
            self.waiting[holder] = left
        else:
            self.waiting.pop(holder, None)

    def prove(self, holder: Holder, amount: int) -> None:
        """The ledger says what a holder has spent in all; never less than it has told counts."""
        told = self.told.get(holder, 0)
        if amount > told:
            self.spent += amount - told
            self.told[holder] = amount

    def let_go(self, holder: Holder, now_us: int) -> None:
        """What a dead holder had is free, unless no ledger can tell whether it was used."""
        held = self.lent.pop(holder, 0)
        self.reserved.pop(holder, None)
        self.waiting.pop(holder, None)
        if self.key.unit in UNPROVEN:
            self.spent += held
        if self.key.unit is Unit.CALLS_PER_MINUTE:
            self.times.extend([now_us] * held)

    def line(self) -> Line:
        """The account as people see it."""
        return Line(
            self.key,
            Window(self.start_us, self.end_us),
            Money(self.limit),
            Money(self.spent),
            Money(sum(self.reserved.values())),
            Money(self.overrun),
        )

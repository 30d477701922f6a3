"""One account in one window: what is spent and reserved in it, and the line that tells of it."""

from collections import deque
from collections.abc import Sequence

import msgspec

from ringfence.domain.budget import AccountKey, Unit, Window
from ringfence.domain.money import Money

FOREVER_US = 2**63
MINUTE_US = 60_000_000


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

"""One timer for many connections, so that no request sets a timer of its own."""

import asyncio
import math
from typing import Protocol

NEVER = math.inf
"""The deadline of what may wait for ever."""

SWEEP_S = 0.25
"""How late a deadline may be noticed."""


class Member(Protocol):
    """Something with a deadline."""

    deadline: float
    """In the loop's time; `NEVER` for none."""

    def expire(self) -> None:
        """The deadline has passed; called again at each sweep until it is moved."""


class Sweeper:
    """Looks at all deadlines a few times a second while there are any."""

    def __init__(self, loop: asyncio.AbstractEventLoop, interval_s: float = SWEEP_S) -> None:
        """Nothing runs until a member is added."""
        self._loop = loop
        self._interval_s = interval_s
        self._members: set[Member] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, member: Member) -> None:
        """Watch a deadline."""
        self._members.add(member)
        if self._timer is None:
            self._timer = self._loop.call_later(self._interval_s, self._sweep)

    def discard(self, member: Member) -> None:
        """Watch it no longer; harmless if it is not watched."""
        self._members.discard(member)
        if not self._members and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sweep(self) -> None:
        self._timer = self._loop.call_later(self._interval_s, self._sweep)
        now = self._loop.time()
        for member in [member for member in self._members if member.deadline <= now]:
            member.expire()

"""How long this process may act on its own: the lease that every admission and write looks at.

See note 012. A process that shares its agents with others may have missed what a person has taken
back. It therefore admits and writes only until `fresh_until_us`, which its supervisor moves on a
few times a second, and never further than one second ahead. The time is that of the machine's
monotonic clock, which all processes share; so a renewal that was long on its way, or a process
that was frozen, finds its lease over by itself.
"""

import asyncio
from collections.abc import Callable
from typing import Final, final

from ringfence.domain.verdict import Code, Reason
from ringfence.transport.clock import Clock

LEASE_US: Final = 1_000_000
"""The longest that a process acts without having heard of its supervisor (design note 012)."""
RENEW_S: Final = 0.25
"""How often a lease is renewed: three renewals may be late before agents have to wait."""
WAIT_S: Final = 2.0
"""How long what is not fresh waits for a renewal before it is refused or cut."""

_EVER_US: Final = 2**63

LAPSED: Final = Reason(
    code=Code.STORE_UNAVAILABLE,
    message="This part of Ringfence has lost touch with the rest and may not act for you right "
    "now. Try again in a moment.",
    facts=(("cause", "authority_lapsed"),),
)
"""Why an agent is refused or cut when no renewal came."""

SHUTTING_DOWN: Final = Reason(
    code=Code.SHUTTING_DOWN,
    message="Ringfence is shutting down. Try again in a moment.",
)
"""Why an agent is refused or cut while its plane stops."""

Resume = Callable[[bool], None]
"""Told whether authority was renewed; if not, the wait is over."""


@final
class Authority:
    """The lease of one process; one that shares with nobody has it for ever.

    INVARIANT: `fresh_until_us` is later than now only if every change that was sent before the
    renewal has been taken: messages of a link arrive in order, and a renewal of another epoch
    counts for nothing.
    """

    __slots__ = ("_is_revoked", "_monotonic_us", "_waiting", "epoch", "fresh_until_us", "lapses")

    def __init__(self, clock: Clock, *, is_shared: bool = False) -> None:
        """Shared authority begins lapsed, until its first renewal."""
        self._monotonic_us = clock.monotonic_us
        self._is_revoked = False
        self.fresh_until_us = 0 if is_shared else _EVER_US
        self.epoch = 0
        """Counts the changes that this process has taken."""
        self.lapses = 0
        """How often something had to wait, for the status."""
        self._waiting: dict[int, tuple[Resume, asyncio.TimerHandle]] = {}

    @property
    def is_fresh(self) -> bool:
        """Whether this process may admit and write now."""
        until_us = self.fresh_until_us
        return until_us >= _EVER_US or until_us > self._monotonic_us()

    def renew(self, until_us: int, epoch: int) -> None:
        """Take a renewal; what waits goes on. One of another epoch, or that is over, is ignored."""
        if epoch != self.epoch or until_us <= self.fresh_until_us or self._is_revoked:
            return
        self.fresh_until_us = until_us
        if self._waiting and self.is_fresh:
            self._release(is_fresh=True)

    def advance(self, epoch: int) -> None:
        """A change with that number has been taken whole; a renewal of it follows."""
        self.epoch = epoch

    def revoke(self) -> None:
        """The supervisor has gone: end at once and for good, and give up what waits."""
        self._is_revoked = True
        self.fresh_until_us = 0
        self._release(is_fresh=False)

    def when_fresh(self, resume: Resume, wait_s: float = WAIT_S) -> None:
        """Call back, in a later turn, when authority is renewed or the wait is over."""
        self.lapses += 1
        loop = asyncio.get_running_loop()
        timer = loop.call_later(0 if self._is_revoked else wait_s, self._give_up, self.lapses)
        self._waiting[self.lapses] = (resume, timer)

    async def renewed(self, wait_s: float = WAIT_S) -> bool:
        """Whether this process may go on; waits for a renewal if it must."""
        if self.is_fresh:
            return True
        fresh: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def resume(is_fresh: bool) -> None:  # noqa: FBT001 (a callback's only argument)
            if not fresh.done():
                fresh.set_result(is_fresh)

        self.when_fresh(resume, wait_s)
        return await fresh and self.is_fresh

    def _release(self, *, is_fresh: bool) -> None:
        waiting, self._waiting = self._waiting, {}
        for resume, timer in waiting.values():
            timer.cancel()
            resume(is_fresh)

    def _give_up(self, key: int) -> None:
        entry = self._waiting.pop(key, None)
        if entry is not None:
            entry[0](False)  # noqa: FBT003 (the callback's only argument)

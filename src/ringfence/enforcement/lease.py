"""A worker's dealings with whoever lends it slabs of shared limits."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, Protocol, final
from weakref import WeakSet

import msgspec

from ringfence.decisions.slab import LentBook, is_covered
from ringfence.domain.budget import AccountKey
from ringfence.domain.error import UnavailableError
from ringfence.domain.lease import Need, Recall, Report, Take, Taken
from ringfence.domain.verdict import Reason
from ringfence.enforcement.lack import Lacking, LackingSlabs, Supplied, not_supplied
from ringfence.enforcement.record import Ledger

_DRY_S: Final = 0.05
"""How long calls do not wait for each other's slabs after an account was found empty."""
_OUTCOMES_S: Final = 0.15
"""How long a recall waits for outcomes; who asked gives up after a quarter of a second."""
_TURNS: Final = 3
"""Turns of the loop in which calls that were just lent something use it, before it is recalled."""

Place = tuple[AccountKey, int]


class Lender(Protocol):
    """The broker as one worker sees it, in this process or another."""

    async def take(self, take: Take) -> Taken:
        """Ask for slabs. Raises UnavailableError if nobody answers."""

    def report(self, report: Report) -> None:
        """Tell what was spent and what goes back; nothing is answered."""


@final
class Slabs:
    """Fetches what calls lack, many for one where they lack the same, and answers recalls."""

    def __init__(
        self, *, book: LentBook, lender: Lender, ledger: Ledger, epoch: Callable[[], int]
    ) -> None:
        """`epoch` tells under which configuration limits are stated now."""
        self.book = book
        self._lender = lender
        self._ledger = ledger
        self._epoch = epoch
        self._asking: dict[Place, asyncio.Task[Taken]] = {}
        self._dry_until_s: dict[Place, float] = {}
        self._waited: WeakSet[asyncio.Task[object]] = WeakSet()
        self.needs: dict[str, Need] = {}
        """What calls of each agent lacked last, by the agent's id."""
        self.round_trips = 0
        """How often the lender was asked."""

    async def supply(self, lacking: Lacking) -> Reason | Supplied:
        """Get what is wanted, or find that it cannot be had.

        A slab often serves several calls: who lacks what another call has asked for waits for that
        first; but once, and not for what has just been found empty.
        """
        if not isinstance(lacking, LackingSlabs):
            return not_supplied(lacking, "nobody_to_ask")
        if lacking.need.amount or lacking.agent not in self.needs:  # a tool's call costs no money
            self.needs[lacking.agent] = lacking.need
        places = [(want.key, want.window_start_us) for want in lacking.wants]
        others = self._of_others(places)
        if others is not None:
            await asyncio.wait((others,))
            return Supplied.MORE
        # A task of its own: what was lent must arrive, whatever becomes of the call.
        asking = asyncio.ensure_future(self._take(lacking, places))
        for place in places:
            self._asking[place] = asking
        taken = await asyncio.shield(asking)
        if not taken.is_short:
            return Supplied.MORE
        if is_covered(self.book.wants(*lacking.call), lacking.wants):
            return Supplied.ALL
        # What the call had is gone meanwhile: that answer settles nothing.
        whole = msgspec.structs.replace(lacking, wants=self.book.whole_wants(*lacking.call))
        return await self.supply(whole)

    async def recalled(self, recall: Recall) -> Report:
        """Give back what is idle, after the calls that wait for it have had their turn.

        What is withheld is idle a moment later, so that moment is waited for.
        """
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        if self.book.is_withholding_in(recall.accounts):
            with contextlib.suppress(UnavailableError, TimeoutError):
                async with asyncio.timeout(_OUTCOMES_S):
                    await self._ledger.flush()
        return self.book.give_back(recall.accounts)

    def report(self) -> None:
        """Tell what was spent; call every second or so."""
        self._tell(self.book.report())

    def restate(self) -> None:
        """A new configuration is in force: limits may be lower."""
        self._tell(self.book.restate())

    def _tell(self, report: Report) -> None:
        if report.spent or report.returned:
            self._lender.report(report)

    async def _take(self, lacking: LackingSlabs, places: list[Place]) -> Taken:
        self.round_trips += 1
        take = Take(epoch=self._epoch(), wants=lacking.wants, report=self.book.report())
        try:
            taken = await self._lender.take(take)
        finally:
            task = asyncio.current_task()
            for place in places:
                if self._asking.get(place) is task:
                    del self._asking[place]
        self.book.receive(taken.slabs, taken.frees_us)
        if taken.is_short:
            until_s = asyncio.get_running_loop().time() + _DRY_S
            self._dry_until_s.update(dict.fromkeys(places, until_s))
        return taken

    def _of_others(self, places: list[Place]) -> "asyncio.Task[Taken] | None":
        """What another call has asked for and this one may wait for."""
        task = asyncio.current_task()
        now_s = asyncio.get_running_loop().time()
        if self._dry_until_s:
            self._dry_until_s = {at: s for at, s in self._dry_until_s.items() if s > now_s}
        if task is None or task in self._waited or any(at in self._dry_until_s for at in places):
            return None
        others = next((self._asking[place] for place in places if place in self._asking), None)
        if others is not None:
            self._waited.add(task)
        return others

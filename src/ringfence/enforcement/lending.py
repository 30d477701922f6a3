"""The broker at work: it lends to workers, and asks others for idle slabs before it refuses one."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final, final

from ringfence.decisions.lease import Asked, Broker, asked_by
from ringfence.domain.error import UnavailableError
from ringfence.domain.lease import Charged, Holder, Recall, Report, Slab, Take, Taken, Want
from ringfence.transport.clock import Clock

RECALL_S: Final = 0.25
"""How long a worker may take to give idle slabs back, before somebody is refused without them.

It answers within some turns of its loop; one that is frozen must not make others wait long.
"""

AskBack = Callable[[Holder, Recall], Awaitable[Report]]
"""Asks a worker for what is idle. Raises UnavailableError if it does not answer."""


@final
class Lending:
    """The authority for shared limits; one for each installation."""

    def __init__(self, broker: Broker, clock: Clock, ask_back: AskBack) -> None:
        """Lend what the broker has."""
        self.broker = broker
        self._clock = clock
        self._ask_back = ask_back
        self._recalls: set[asyncio.Task[None]] = set()
        self.taken = 0
        """How often slabs were asked for."""
        self.recalled = 0
        """How often idle ones were asked back."""

    def totals(self) -> dict[str, int]:
        """The traffic of leases, by the names that metrics have."""
        return {"slab_takes": self.taken, "slab_recalls": self.recalled}

    async def take(self, holder: Holder, take: Take) -> Taken:
        """Answer a worker that asks for slabs; nobody is refused while others hold idle ones."""
        self.taken += 1
        answer = self.broker.take(holder, take, self._clock.now_us())
        asked: set[Asked] = set()
        while not isinstance(answer, Taken):
            asked |= asked_by(answer)
            try:
                await asyncio.wait(self._recall(answer), timeout=RECALL_S)
            finally:
                again = self.broker.take_again(holder, take, self._clock.now_us(), asked)
            answer = again
        return answer

    def lend_ahead(self, holder: Holder, wants: Iterable[Want], epoch: int) -> tuple[Slab, ...]:
        """Lend of a run to a worker that is about to act in it; nobody is asked for anything."""
        return self.broker.lend_ahead(holder, wants, epoch, self._clock.now_us())

    def report(self, holder: Holder, report: Report) -> None:
        """Count what a worker has spent and gives back."""
        recalls = self.broker.report(holder, report)
        if recalls:
            self._recall(recalls)

    def died(self, holder: Holder) -> None:
        """A worker has ended: what it held counts as spent until `prove`."""
        self.broker.died(holder)

    def prove(self, holder: Holder, charged: Iterable[Charged]) -> None:
        """The ledger of a dead worker has been read to its end and made whole."""
        recalls = self.broker.prove(holder, charged, self._clock.now_us())
        if recalls:
            self._recall(recalls)

    def tidy(self) -> None:
        """Drop what is over; call every few seconds."""
        self.broker.drop_past(self._clock.now_us())

    def _recall(self, recalls: Mapping[Holder, Recall]) -> set[asyncio.Task[None]]:
        """Ask back; an answer counts also if nobody waits for it any longer."""
        tasks = {asyncio.create_task(self._one(to, recall)) for to, recall in recalls.items()}
        self._recalls |= tasks
        for task in tasks:
            task.add_done_callback(self._recalls.discard)
        self.recalled += len(tasks)
        return tasks

    async def _one(self, holder: Holder, recall: Recall) -> None:
        try:
            answer = await self._ask_back(holder, recall)
        except UnavailableError:
            return  # its end is told by `died`
        self.report(holder, answer)

"""Undoing: has what a person accepted called in reverse order, each call through approval."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, Protocol, final

from ringfence.domain.errand import Errand, ErrandOutcome
from ringfence.domain.error import RingfenceError

_LOG = logging.getLogger(__name__)

AT_ONCE: Final = 20
"""Traces that are being undone at the same time, of all organisations."""


class Carrier(Protocol):
    """Whoever makes one call; returns when it has ended. Raises UnavailableError."""

    async def __call__(self, errand: Errand, /) -> ErrandOutcome:
        """Make it."""


class Told(Protocol):
    """Puts on record what has become of one call. Raises RingfenceError."""

    async def __call__(self, errand: Errand, outcome: ErrandOutcome, /) -> None:
        """Return when that is durable."""


@final
class Undoings:
    """The traces that are being undone.

    INVARIANT: the calls of one trace are made one after the other, and the first that is not done
    ends it: what was done before rests on what is undone after it.
    """

    def __init__(self) -> None:
        """None yet."""
        self._running: dict[tuple[str, str], asyncio.Task[None]] = {}

    def is_running(self, organisation: str, trace: str) -> bool:
        """Whether a trace is being undone."""
        return (organisation, trace) in self._running

    @property
    def is_full(self) -> bool:
        """Whether no more can be undone now."""
        return len(self._running) >= AT_ONCE

    def begin(
        self,
        organisation: str,
        trace: str,
        errands: Sequence[Errand],
        carry_out: Carrier,
        tell: Told,
    ) -> None:
        """Begin with the first call; nobody waits for the last."""
        key = (organisation, trace)
        task = asyncio.create_task(_run(errands, carry_out, tell))
        self._running[key] = task
        task.add_done_callback(lambda _: self._running.pop(key, None))

    async def stop(self) -> None:
        """The plane ends: what has not begun is not begun."""
        tasks = [*self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _run(errands: Sequence[Errand], carry_out: Carrier, tell: Told) -> None:
    for errand in errands:
        try:
            outcome = await carry_out(errand)
        except RingfenceError as error:
            outcome = ErrandOutcome(is_done=False, told=error.message)
        except Exception:  # noqa: BLE001 (nobody waits: what is unexpected ends it and is told)
            _LOG.exception("a call that undoes another failed")
            outcome = ErrandOutcome(is_done=False, told="it failed in an unexpected way")
        try:
            await tell(errand, outcome)
        except RingfenceError:
            _LOG.exception("what has become of an undoing call cannot be recorded")
            return
        if not outcome.is_done:
            return

"""Mask messages on their way to the ledger, in a thread of its own.

What an agent and a provider say to each other is never changed: this is about what is kept.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import final

from ringfence.domain.event import AnyEvent
from ringfence.stores.body import Body

FAILED = "failed"
"""Counted where masking itself failed; nothing of that message is kept."""

Mask = Callable[[Body], tuple[Body, dict[str, int]]]
"""A body with marks, and how many of each name; runs in the thread."""


@final
class Masking:
    """Which organisations want something masked, and what is being masked; for one event loop.

    INVARIANT: used by one event loop; its thread is made when something is to be masked.
    """

    def __init__(self) -> None:
        """Nothing is masked before `install`."""
        self._masks: Mapping[str, Mask] = {}
        self._thread: ThreadPoolExecutor | None = None
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def install(self, masks: Mapping[str, Mask]) -> None:
        """Mask messages of these organisations (by id) from now on."""
        self._masks = masks

    def concerns(self, event: AnyEvent | None, body: Body | None) -> bool:
        """Whether an event must go through here before it is written."""
        if event is None or body is None or not self._masks:
            return False
        return event.organisation in self._masks

    def start(
        self, event: AnyEvent, body: Body | None, then: Callable[[AnyEvent, Body | None], None]
    ) -> None:
        """Mask the body of an event; then go on with it, in the loop."""
        mask = self._masks[event.organisation]
        loop = asyncio.get_running_loop()
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="masking")
        self._running += 1
        self._idle.clear()

        def ended(masked: tuple[Body | None, dict[str, int]]) -> None:
            self._running -= 1
            if not self._running:
                self._idle.set()
            said, event.masked = masked
            then(event, said)

        def work() -> None:
            try:
                masked: tuple[Body | None, dict[str, int]] = mask(body) if body else (body, {})
            except Exception:  # noqa: BLE001 (what cannot be masked is not kept)
                masked = None, {FAILED: 1}
            loop.call_soon_threadsafe(ended, masked)

        self._thread.submit(work)

    async def idle(self) -> None:
        """Return when nothing is being masked."""
        await self._idle.wait()

    def close(self) -> None:
        """End the thread; nothing is being masked any more."""
        if self._thread is not None:
            self._thread.shutdown(wait=True)
            self._thread = None

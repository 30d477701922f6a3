"""Looks after secrets while a plane runs: what has changed is fetched, and every worker told."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, final

from ringfence.app.secret import SecretCustody
from ringfence.stores.secret import Secrets

_LOG = logging.getLogger(__name__)

_LOOK_S: Final = 2.0


@final
class SecretWatch:
    """Looks after the custody for as long as the plane runs, and tells what has changed."""

    def __init__(
        self, custody: SecretCustody, changed: Callable[[Secrets], Awaitable[None]]
    ) -> None:
        """`changed` tells workers of other values; what it gives ends when they obey."""
        self._custody = custody
        self._changed = changed
        self._turn = asyncio.Lock()

    async def run(self) -> None:
        """Look every few seconds; who is slow to answer keeps nobody else's value waiting."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._run(is_far=False))
            group.create_task(self._run(is_far=True))

    async def _run(self, *, is_far: bool) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                fetched = await asyncio.to_thread(self._custody.look, is_far=is_far)
                if fetched:
                    await (await self._tell(partial(self._custody.apply, fetched)))
            except Exception:  # noqa: BLE001 (the next round may do better)
                _LOG.exception("secrets could not be looked after; it is tried again")

    @property
    def turn(self) -> asyncio.Lock:
        """Held while values change: of two changes the later one is told last."""
        return self._turn

    async def stored_changed(self) -> Awaitable[None]:
        """Somebody has changed what is stored: tell the workers.

        They have been told when this returns; what it gives ends when they obey.
        """
        return await self._tell(self._custody.stored_changed)

    async def _tell(self, look: Callable[[], Secrets | None]) -> Awaitable[None]:
        async with self._turn:
            secrets = await asyncio.to_thread(look)
            return asyncio.sleep(0) if secrets is None else self._changed(secrets)

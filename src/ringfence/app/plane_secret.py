"""A plane's secrets in force: fetched for a configuration, watched from then on, told of."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import final

from ringfence.app.configuration import Prepared
from ringfence.app.secret import Proposal, SecretCustody, requesting
from ringfence.app.secret_watch import SecretWatch
from ringfence.domain.organisation import Configuration
from ringfence.enforcement.minted_source import minting
from ringfence.enforcement.secret_desk import SecretDesk
from ringfence.stores.secret import Secrets, StoredSecrets
from ringfence.transport.client import Pool
from ringfence.transport.clock import Clock

_LOG = logging.getLogger(__name__)


@final
class PlaneSecrets:
    """What every secret is worth now. Used by one event loop, inside which it is made."""

    in_force: Secrets
    """Since the first `take`."""

    def __init__(
        self,
        stored: StoredSecrets,
        environment: Mapping[str, str],
        pool: Pool,
        clock: Clock,
        tell: Callable[[Secrets], Awaitable[None]],
    ) -> None:
        """Nothing is fetched yet. `tell` sends values; what it gives ends when workers obey."""
        loop = asyncio.get_running_loop()
        self._stored = stored
        self._custody = SecretCustody(
            environment, stored, requesting(pool, loop), clock, minting(pool, loop)
        )
        self._watch = SecretWatch(self._custody, self._changed)
        self._tell = tell

    async def propose(
        self, prepared: Prepared, known: Callable[[Configuration], Configuration]
    ) -> Proposal:
        """Fetch what a configuration needs that is not in force yet; `known` fills in its ids.

        Raises UsageError.
        """

        def fetch() -> Proposal:
            named = known(prepared.configuration)
            return self._custody.prepare(named, prepared.secrets.names, prepared.secret_uses)

        return await asyncio.to_thread(fetch)

    @property
    def turn(self) -> asyncio.Lock:
        """To be held from `take` until workers are told: of two changes the later is told last."""
        return self._watch.turn

    async def take(self, proposal: Proposal, configuration: Configuration) -> None:
        """Have what was proposed in force; its configuration has its ids now."""
        take = partial(self._custody.take, proposal, configuration)
        self.in_force = await asyncio.to_thread(take)

    async def check_stored(self) -> None:
        """Say in the log if the wrapping key does not open what is stored. Raises UsageError."""
        trouble = (await asyncio.to_thread(self._stored.fit)).trouble
        if trouble:
            _LOG.error("%s; `ringfence doctor` says what to do", trouble)

    async def run(self) -> None:
        """Fetch what changes, for as long as the plane runs."""
        await self._watch.run()

    async def stored_changed(self) -> Awaitable[None]:
        """Somebody has changed what is stored: told when this returns, obeyed when that ends."""
        return await self._watch.stored_changed()

    def desk(self, changed: Callable[[], Awaitable[None]]) -> SecretDesk:
        """Where people change what is stored; `changed` returns when all planes use it."""
        return SecretDesk(self._stored, self._custody, changed)

    def value(self, name: str) -> str:
        """The value of a variable or a secret that the plane itself uses."""
        return self.in_force.get(name).reveal()

    def token_refused(self, key: str) -> None:
        """A token was not taken: another one is got, unless it is fresh."""
        self._custody.token_refused(key)

    def trouble(self) -> str:
        """How many secrets cannot be had; empty for none."""
        return self._custody.trouble()

    def _changed(self, secrets: Secrets) -> Awaitable[None]:
        self.in_force = secrets
        _LOG.info("secrets have changed")
        return self._tell(secrets)

"""Lasting ids of users whom no file names, from the state store of this process."""

import asyncio
from functools import partial
from typing import final

from ringfence.domain.error import UnavailableError
from ringfence.stores.state.store import StateStore
from ringfence.transport.clock import Clock
from ringfence.transport.entropy import Ids

_ANSWER_S = 2.0
_KEPT = 10_000


@final
class StoredUsers:
    """Implements `enforcement.proof.UserRegistry`; the ids it has given are remembered."""

    def __init__(self, state: StateStore, clock: Clock, ids: Ids) -> None:
        """Ask this store."""
        self._state = state
        self._clock = clock
        self._ids = ids
        self._known: dict[tuple[str, str], str] = {}

    async def user_id(self, organisation: str, name: str) -> str:
        """The id of a user, made at first sight. Raises UnavailableError."""
        known = self._known.get((organisation, name))
        if known is not None:
            return known
        identify = partial(
            self._state.users.identify,
            organisation,
            name,
            now_us=self._clock.now_us(),
            make_id=self._ids.make,
        )
        try:
            async with asyncio.timeout(_ANSWER_S):
                found = await asyncio.to_thread(identify)
        except TimeoutError as error:
            message = "the state store does not answer in time"
            raise UnavailableError("store_unavailable", message) from error
        if len(self._known) >= _KEPT:
            del self._known[next(iter(self._known))]
        self._known[organisation, name] = found
        return found

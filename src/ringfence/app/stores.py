"""Everything a plane keeps on disk, opened in the right order and closed in the reverse one."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ringfence.domain.error import UnavailableError
from ringfence.stores.body import BodyStore
from ringfence.stores.ledger import Fence, LedgerWriter, Recovered, log_ids, recover
from ringfence.stores.state.store import StateStore, open_state
from ringfence.transport.clock import Clock
from ringfence.transport.entropy import Ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """The open stores of a running plane, and what recovery found."""

    state: StateStore
    bodies: BodyStore
    ledger: LedgerWriter
    recovered: Recovered

    async def close(self) -> None:
        """Write what is left and close. What could not be written is counted by the ledger."""
        with suppress(UnavailableError):
            await self.ledger.close()
        self.bodies.close()
        self.state.close()


def open_stores(folder: Path, clock: Clock, ids: Ids) -> Stores:
    """Open state, recover the ledger, and begin to write it.

    Raises UsageError if another plane uses the folder or a store is damaged or newer.
    """
    state = open_state(folder)
    try:
        known = log_ids(folder)
        fence = Fence.take(folder, known[-1] if known else ids.make("log"))
        try:
            recovered = recover(fence, clock.now_us())
            bodies = BodyStore.open(folder)
            try:
                ledger = LedgerWriter.open(fence, bodies=bodies)
            except BaseException:
                bodies.close()
                raise
        except BaseException:
            fence.release()
            raise
    except BaseException:
        state.close()
        raise
    return Stores(state=state, bodies=bodies, ledger=ledger, recovered=recovered)

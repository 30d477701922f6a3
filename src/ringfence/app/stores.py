"""Everything a plane keeps on disk, opened in the right order and closed in the reverse one."""

from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from ringfence.domain.error import UnavailableError
from ringfence.stores.backup import read_restored
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
    with ExitStack() as undo:
        state = open_state(folder)
        undo.callback(state.close)
        fence = take_log(folder, ids)
        undo.callback(fence.release)
        recovered = recover(fence, clock.now_us())
        bodies = BodyStore.open(folder)
        undo.callback(bodies.close)
        ledger = LedgerWriter.open(fence, bodies=bodies)
        undo.pop_all()
    return Stores(state=state, bodies=bodies, ledger=ledger, recovered=recovered)


def take_log(folder: Path, ids: Ids) -> Fence:
    """The right to write this process's log: the newest there is, else a new one.

    After a restore it is a new one: what others know of the old logs may go further than the copy.
    Raises UsageError `log_in_use`.
    """
    known = [] if read_restored(folder) is not None else log_ids(folder)
    return Fence.take(folder, known[-1] if known else ids.make("log"))

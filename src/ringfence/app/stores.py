"""Everything a plane keeps on disk, opened in the right order and closed in the reverse one."""

from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from ringfence.domain.error import UnavailableError, UsageError
from ringfence.stores.backup import read_restored
from ringfence.stores.body import BodyStore
from ringfence.stores.checkpoint import Keeper, SigningKeys
from ringfence.stores.ledger import Fence, LedgerWriter, Recovered, log_ids, recover
from ringfence.stores.ledger.attested import AttestedLog, attest
from ringfence.stores.ledger.recovery import complete
from ringfence.stores.state.store import StateStore, open_state
from ringfence.transport.clock import Clock
from ringfence.transport.entropy import Ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """The open stores of a running plane, and what recovery found."""

    state: StateStore
    bodies: BodyStore
    ledger: LedgerWriter
    keeper: Keeper
    recovered: Recovered
    log: str
    """The log that `ledger` writes."""

    async def close(self) -> None:
        """Write what is left and close. What could not be written is counted by the ledger."""
        with suppress(UnavailableError):
            await self.ledger.close()
        self.bodies.close()
        self.state.close()


def open_stores(folder: Path, clock: Clock, ids: Ids, signing_key: Path | None = None) -> Stores:
    """Open state, recover the ledger, vouch for all of it, and begin to write it.

    Raises UsageError if another plane uses the folder, a store is damaged or newer, or a log is
    not the one that was signed.
    """
    keys = SigningKeys(folder, signing_key)
    with ExitStack() as undo:
        state = open_state(folder)
        undo.callback(state.close)
        fence = take_log(folder, ids)
        undo.callback(fence.release)
        recovered = recover(fence, clock.now_us())
        for log_id in recovered.held:
            # Whoever writes it may still be spending: what is left of budgets is not known yet.
            raise UsageError(
                "log_in_use",
                f"log `{log_id}` in `{folder}` is being written by another process",
                help="a worker of an earlier plane has not ended yet; wait for it, or end it",
            )
        attest_others(fence, keys, clock.now_us())
        bodies = BodyStore.open(folder)
        undo.callback(bodies.close)
        log = AttestedLog.open(fence, keys, clock.now_us)
        ledger = LedgerWriter(log, bodies)
        undo.pop_all()
    return Stores(
        state=state,
        bodies=bodies,
        ledger=ledger,
        keeper=log.keeper,
        recovered=recovered,
        log=fence.log_id,
    )


def attest_others(fence: Fence, keys: SigningKeys, now_us: int) -> None:
    """Vouch for the logs of processes that ended; each living one does so itself.

    Raises as `Attestation.open`.
    """
    for log_id in log_ids(fence.folder):
        if log_id == fence.log_id:
            continue
        try:
            other = Fence.take(fence.folder, log_id)
        except UsageError as error:
            if error.code == "log_in_use":
                continue
            raise
        try:
            attest(other, keys, now_us)
        finally:
            other.release()


def recover_log(folder: Path, log_id: str, keys: SigningKeys, now_us: int) -> list[str]:
    """Make one log whole whose writer has died, and vouch for it.

    Gives the actions whose outcome is unknown. Raises UsageError `log_in_use` while its writer
    lives, `store_damaged`, UnavailableError.
    """
    fence = Fence.take(folder, log_id)
    try:
        unknown = complete(fence, now_us)
        attest(fence, keys, now_us)
    finally:
        fence.release()
    return unknown


def take_log(folder: Path, ids: Ids) -> Fence:
    """The right to write this process's log: the newest there is, else a new one.

    After a restore it is a new one: what others know of the old logs may go further than the copy.
    Raises UsageError `log_in_use`.
    """
    known = _usable(folder)
    return Fence.take(folder, known[-1] if known else ids.make("log"))


def worker_logs(folder: Path, count: int, own: str, ids: Ids) -> tuple[str, ...]:
    """One log for each worker process: the newest there are beside the plane's own, else new."""
    known = [log for log in reversed(_usable(folder)) if log != own]
    return tuple(known[at] if at < len(known) else ids.make("log") for at in range(count))


def _usable(folder: Path) -> list[str]:
    return [] if read_restored(folder) is not None else log_ids(folder)

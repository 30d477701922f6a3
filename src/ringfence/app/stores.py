"""Everything a plane keeps, opened in the right order and closed in the reverse one."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Final, NamedTuple

from ringfence.app.storage import Storage
from ringfence.domain.error import UnavailableError, UsageError
from ringfence.stores.body import BodyStore
from ringfence.stores.checkpoint import Keeper, SigningKeys
from ringfence.stores.ledger import HeldLog, LedgerWriter, Logs, Recovered, recover
from ringfence.stores.ledger.attested import AttestedLog, attest
from ringfence.stores.ledger.charged import Totals, totals
from ringfence.stores.ledger.masking import Masking
from ringfence.stores.ledger.recovery import LONGEST_WINDOW_US, complete
from ringfence.stores.state.store import StateStore
from ringfence.transport.clock import Clock
from ringfence.transport.entropy import Ids

_EARLIER_US: Final = 15_000_000
"""How long the workers of an earlier plane, which was killed, are waited for."""
_LOOK_S: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """The open stores of a running plane, and what recovery found."""

    state: StateStore
    bodies: BodyStore
    ledger: LedgerWriter
    keeper: Keeper
    recovered: Recovered
    masking: Masking
    log: str
    """The log that `ledger` writes."""

    async def close(self) -> None:
        """Write what is left and close. What could not be written is counted by the ledger."""
        with suppress(UnavailableError):
            await self.ledger.close()
        self.bodies.close()
        self.state.close()


def open_stores(storage: Storage, clock: Clock, ids: Ids, keys: SigningKeys) -> Stores:
    """Open state, recover the ledger, vouch for all of it, and begin to write it.

    Raises UsageError if another plane uses the folder, a store is damaged or newer, or a log is
    not the one that was signed.
    """
    with ExitStack() as undo:
        state = storage.state()
        undo.callback(state.close)
        logs = storage.logs()
        undo.callback(logs.close)
        held = storage.take_log(logs, ids)
        undo.callback(held.release)
        recovered = recover(held, logs, clock.now_us(), storage.journal, storage.running_logs())
        for log_id in filter(storage.owns, recovered.held):
            # Whoever writes it may still be spending: what is left of budgets is not known yet.
            raise UsageError(
                "log_in_use",
                f"log `{log_id}` is being written by another process",
                help="a worker of an earlier plane has not ended yet; wait for it, or end it",
            )
        attest_others(held.log_id, storage, keys, clock.now_us())
        bodies = BodyStore.open(storage.shelves())
        undo.callback(bodies.close)
        log = AttestedLog.open(held, storage.logs, keys, clock.now_us)
        masking = Masking()
        ledger = LedgerWriter(log, bodies, masking, storage.journal(held.log_id))
        undo.pop_all()
        logs.close()
    return Stores(
        state=state,
        bodies=bodies,
        ledger=ledger,
        keeper=log.keeper,
        recovered=recovered,
        masking=masking,
        log=held.log_id,
    )


async def open_in_turn(
    storage: Storage, clock: Clock, ids: Ids, keys: SigningKeys, *, is_running: Callable[[], bool]
) -> Stores:
    """The same in a thread; workers of an earlier plane that are ending are waited for a moment.

    `is_running` tells whether that plane is there still: then nobody ends. Raises as `open_stores`.
    """
    give_up_us = clock.monotonic_us() + _EARLIER_US
    while True:
        try:
            return await asyncio.to_thread(open_stores, storage, clock, ids, keys)
        except UsageError as error:
            is_over = clock.monotonic_us() > give_up_us
            if error.code != "log_in_use" or is_over or is_running():
                raise
        await asyncio.sleep(_LOOK_S)


def attest_others(own: str, storage: Storage, keys: SigningKeys, now_us: int) -> None:
    """Vouch for the logs of processes that ended; each living one does so itself.

    Raises as `Attestation.open`.
    """
    logs = storage.logs()
    try:
        for log_id in logs.ids():
            is_due = log_id != own and storage.owns(log_id)
            other = _take(logs, log_id) if is_due else None
            if other is not None:
                try:
                    attest(log_id, storage.logs, keys, now_us)
                finally:
                    other.release()
    finally:
        logs.close()


class Whole(NamedTuple):
    """A log that was made whole: actions whose outcome is unknown, and all that it has charged."""

    unknown: list[str]
    charged: Totals


@contextmanager
def made_whole(storage: Storage, log_id: str, keys: SigningKeys, now_us: int) -> Iterator[Whole]:
    """Make one log whole whose writer has died, and vouch for it.

    INVARIANT: nobody writes it before this ends. What it had been lent is freed meanwhile, and a
    next life of its writer may be lent something as soon as it can write.
    Raises UsageError `log_in_use` while its writer lives, `store_damaged`, UnavailableError.
    """
    logs = storage.logs()
    try:
        held = logs.take(log_id)
        try:
            unknown = complete(held, logs, now_us, storage.journal(log_id))
            if storage.owns(log_id):  # its own plane's folder vouches for any other
                attest(log_id, storage.logs, keys, now_us)
            yield Whole(unknown, charged_by(storage, log_id, now_us))
        finally:
            held.release()
    finally:
        logs.close()


def charged_by(storage: Storage, log_id: str, now_us: int) -> Totals:
    """What a log that nobody writes now has charged; nothing if there is none yet."""
    logs = storage.logs()
    try:
        if log_id not in logs.ids():
            return {}
        rows = logs.read(log_id)
        try:
            return totals(rows, now_us - LONGEST_WINDOW_US)
        finally:
            rows.close()
    finally:
        logs.close()


def _take(logs: Logs, log_id: str) -> HeldLog | None:
    """A log that nobody writes; None if somebody does."""
    try:
        return logs.take(log_id)
    except UsageError as error:
        if error.code == "log_in_use":
            return None
        raise

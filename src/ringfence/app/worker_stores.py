"""The log and the bodies of one worker process: opened when it starts, closed when it ends."""

import contextlib
import time
from pathlib import Path
from typing import Final

from ringfence.app.message import Start
from ringfence.app.storage import storage_at
from ringfence.domain.error import UnavailableError, UsageError
from ringfence.stores.body import BodyStore
from ringfence.stores.checkpoint import SigningKeys
from ringfence.stores.ledger import HeldLog, LedgerWriter, Logs
from ringfence.stores.ledger.attested import AttestedLog
from ringfence.transport.clock import SystemClock

_TAKE_US: Final = 5_000_000
"""How long a log may be held by another plane that makes sure that it is whole."""
_LOOK_S: Final = 0.1


def open_worker_stores(start: Start) -> tuple[AttestedLog, BodyStore]:
    """Take the log that it is to write, and open the bodies; nothing stays open where one fails."""
    folder = Path(start.data)
    storage = storage_at(folder, start.database)
    keys = SigningKeys(folder, Path(start.signing_key) if start.signing_key else None)
    with contextlib.ExitStack() as undo:
        held = _taken(storage.logs(), start.log)
        undo.callback(held.release)
        bodies = BodyStore.open(storage.shelves())
        undo.callback(bodies.close)
        bodies.prepare(each.id for each in start.configure.configuration.organisations.values())
        log = AttestedLog.open(held, storage.logs, keys, SystemClock().now_us)
        undo.pop_all()
    return log, bodies


def _taken(logs: Logs, log_id: str) -> HeldLog:
    """The log, once nobody holds it: another plane may be making sure that it is whole.

    Raises as `Logs.take`.
    """
    clock = SystemClock()
    until_us = clock.monotonic_us() + _TAKE_US
    while True:
        try:
            return logs.take(log_id)
        except UsageError as error:
            if error.code != "log_in_use" or clock.monotonic_us() > until_us:
                raise
        time.sleep(_LOOK_S)


async def close_worker_stores(ledger: LedgerWriter, bodies: BodyStore) -> None:
    """What could not be written is counted by the ledger, and told at the end."""
    with contextlib.suppress(UnavailableError):
        await ledger.close()
    bodies.close()

"""What the logs of a plane's workers prove, and how one is made whole when its worker has died."""

from pathlib import Path
from typing import final

from ringfence.app.storage import storage_at
from ringfence.app.stores import charged_by, made_whole
from ringfence.stores.checkpoint import SigningKeys
from ringfence.stores.ledger.charged import Totals
from ringfence.transport.clock import Clock


@final
class WorkerLogs:
    """Logs of processes that have ended; every method blocks, and is called from a thread."""

    def __init__(self, folder: Path, database: str, signing_key: str, clock: Clock) -> None:
        """`database` as the settings name it; `signing_key` is empty for the folder's own."""
        self._folder = folder
        self._database = database
        self._signing_key = signing_key
        self._clock = clock

    def charged(self, log: str) -> Totals:
        """What a log proves that was spent, by account."""
        return charged_by(storage_at(self._folder, self._database), log, self._clock.now_us())

    def recover(self, log: str) -> tuple[list[str], Totals]:
        """Give every intent of a log its outcome: the actions of which none is known, and as above.

        Raises RingfenceError.
        """
        keys = SigningKeys(self._folder, Path(self._signing_key) if self._signing_key else None)
        storage = storage_at(self._folder, self._database)
        with made_whole(storage, log, keys, self._clock.now_us()) as found:
            return found.unknown, found.charged

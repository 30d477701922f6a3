"""A log whose commits are vouched for: whatever keeps it, a keeper is told what is durable."""

from collections.abc import Callable, Sequence
from typing import Self, final

from ringfence.stores.checkpoint import Attestation, Keeper, SigningKeys
from ringfence.stores.checkpoint.keeper import Packed
from ringfence.stores.ledger.backend import Backend, Batch
from ringfence.stores.ledger.leaves import leaf_reader
from ringfence.stores.ledger.projection import Projection
from ringfence.stores.ledger.rows import HeldLog, Logs


@final
class AttestedLog:
    """Implements `backend.Backend` on top of another."""

    def __init__(self, log: Backend, keeper: Keeper) -> None:
        """Close both with this one."""
        self._log = log
        self.keeper = keeper

    @classmethod
    def open(
        cls,
        held: HeldLog,
        open_logs: Callable[[], Logs],
        keys: SigningKeys,
        now_us: Callable[[], int],
    ) -> Self:
        """Open a held log and begin to vouch for it; `open_logs` gives what to read it by.

        Raises as `HeldLog.open` and `Attestation.open`. INVARIANT: called after fork.
        """
        log = held.open()
        try:
            read = leaf_reader(open_logs, held.log_id)
            attestation = Attestation.open(keys, held.log_id, read, now_us())
        except BaseException:
            log.close()
            raise
        return cls(log, Keeper.start(attestation, now_us))

    @property
    def log_id(self) -> str:
        """Which log it is."""
        return self._log.log_id

    @property
    def next_sequence(self) -> int:
        """The number that the next leaf gets."""
        return self._log.next_sequence

    @property
    def pending(self) -> Sequence[tuple[str, str]]:
        """Intents without outcome: organisation and action."""
        return self._log.pending

    def commit(self, batch: Batch) -> None:
        """Write a batch; once it is durable, let it be covered."""
        self._log.commit(batch)
        self.keeper.append(Packed(batch.first, batch.count, batch.data))

    def derive(self, projection: Projection) -> None:
        """Write what follows from committed batches."""
        self._log.derive(projection)

    def probe(self) -> None:
        """Raise unless the log can be written."""
        self._log.probe()

    def close(self) -> None:
        """Cover everything, then let go of the log."""
        self.keeper.close()
        self._log.close()


def attest(log_id: str, open_logs: Callable[[], Logs], keys: SigningKeys, now_us: int) -> None:
    """Vouch for all that a log holds which nobody writes any more. Raises as `Attestation.open`."""
    Attestation.open(keys, log_id, leaf_reader(open_logs, log_id), now_us).close()

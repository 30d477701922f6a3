"""The durable leaves of a log from any sequence on, for whoever vouches for them."""

from collections.abc import Callable, Iterator

from ringfence.stores.checkpoint.attestation import Leaves, ReadLeaves
from ringfence.stores.ledger.rows import Logs


def leaf_reader(open_logs: Callable[[], Logs], log_id: str) -> ReadLeaves:
    """Reads a log beside its writer; each reading opens the place anew, in its own thread.

    The reading raises UsageError `store_damaged`, UnavailableError `store_unavailable`.
    """

    def read(sequence: int) -> Iterator[Leaves]:
        logs = open_logs()
        try:
            rows = logs.read(log_id)
            try:
                held = rows.containing(sequence)
                after = sequence - 1
                if held is not None:
                    yield Leaves(held.first, held.leaves)
                    after = held.first
                for part in rows.following(after):
                    yield Leaves(part.first, part.leaves)
            finally:
                rows.close()
        finally:
            logs.close()

    return read

"""The durable leaves of a log from any sequence on, for whoever vouches for them."""

from collections.abc import Iterator
from pathlib import Path

from ringfence.stores.checkpoint.attestation import Leaves, ReadLeaves
from ringfence.stores.database import open_readable, translated
from ringfence.stores.ledger import segment
from ringfence.stores.ledger.fence import log_path
from ringfence.stores.ledger.schema import LEDGER


def leaf_reader(folder: Path, log_id: str) -> ReadLeaves:
    """Reads a log of a data folder beside its writer.

    The reading raises UsageError `store_damaged`, UnavailableError `store_unavailable`.
    """
    path = log_path(folder, log_id)

    def read(sequence: int) -> Iterator[Leaves]:
        connection = open_readable(path, LEDGER)
        try:
            with translated(path, LEDGER.noun):
                held = segment.containing(connection, sequence)
                after = sequence - 1
                if held is not None:
                    yield Leaves(held.first, held.leaves)
                    after = held.first
                for part in segment.following(connection, after):
                    yield Leaves(part.first, part.leaves)
        finally:
            connection.close()

    return read

"""A log in memory and what is signed of it."""

from collections.abc import Iterator
from pathlib import Path

from ringfence.protocols import checkpoint, note
from ringfence.protocols.checkpoint import Checkpoint
from ringfence.stores.checkpoint import Attestation, SigningKeys
from ringfence.stores.checkpoint.attestation import Leaves
from ringfence.stores.checkpoint.place import notes_path

NOW_US = 1_795_000_000_000_000
LOG = "log_1"


class MemoryLog:
    """Groups of leaves, numbered from 1."""

    def __init__(self) -> None:
        self.groups: list[Leaves] = []

    @property
    def next(self) -> int:
        last = self.groups[-1] if self.groups else Leaves(1, [])
        return last.first + len(last.leaves)

    def write(self, *sizes: int) -> list[Leaves]:
        """Add groups of so many leaves."""
        added = []
        for size in sizes:
            first = self.next
            leaves = [b'{"sequence":%d}' % number for number in range(first, first + size)]
            added.append(Leaves(first, leaves))
            self.groups.append(added[-1])
        return added

    def read(self, sequence: int) -> Iterator[Leaves]:
        for group in self.groups:
            if group.first + len(group.leaves) > sequence:
                yield group


def opened(folder: Path, log: MemoryLog, log_id: str = LOG) -> Attestation:
    return Attestation.open(SigningKeys(folder), log_id, log.read, NOW_US)


def stated(one: bytes) -> Checkpoint:
    return checkpoint.parse(note.parse(one).text)


def checkpoints(folder: Path, log_id: str = LOG) -> list[Checkpoint]:
    return [stated(one) for one in note.split(notes_path(folder, log_id).read_bytes())]

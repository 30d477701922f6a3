"""What the writer and readers of bodies ask of the place where these are kept."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from ringfence.stores.body.content import Part, Pieces

ChunkRow = tuple[int, bytes, int, bool, bytes]
"""Id, address, the body it first came with, whether it is packed, bytes."""

NodeRow = tuple[int, int, int]
"""Id, parent, chunk."""

BodyRow = tuple[int, str, int, bytes, int, int, int]
"""Number, action, part, salt, envelope, head, node."""


class Standing(NamedTuple):
    """Where a transaction begins: the numbers to give next.

    `is_known` is false if another process may have removed what this one remembers.
    """

    is_known: bool
    next_chunk: int
    next_node: int
    next_body: int


class ShelfRows(Protocol):
    """The bodies of one organisation, for their writer; used by one thread.

    All methods raise UsageError `store_damaged` or UnavailableError `store_unavailable`.
    """

    @property
    def key(self) -> bytes:
        """The key of the organisation's addresses."""

    def transaction(self) -> AbstractContextManager[Standing]:
        """Commit what is added within, or nothing of it; nobody else writes meanwhile."""

    def find_chunks(self, addresses: Sequence[bytes]) -> dict[bytes, int]:
        """The ids of those pieces that are there, with one question for many."""

    def find_node(self, parent: int, chunk: int) -> int | None:
        """The id of a chain that goes on with a piece."""

    def add(
        self, chunks: Sequence[ChunkRow], nodes: Sequence[NodeRow], bodies: Sequence[BodyRow]
    ) -> None:
        """Add rows, within a transaction; a body that is there already is left as it is."""

    def close(self) -> None:
        """Let go of it."""


class Shelves(Protocol):
    """The bodies of all organisations in one place. Raises as `ShelfRows`."""

    def open(self, organisation: str) -> ShelfRows:
        """Those of one organisation for writing, made if there are none."""

    def key(self, organisation: str) -> bytes | None:
        """The key of an organisation's addresses; None while it has stored nothing."""

    def get(self, organisation: str, action: str, part: Part) -> tuple[bytes, Pieces] | None:
        """Salt and pieces of a body."""

    def erase(self, organisation: str, actions: Sequence[str]) -> int:
        """Erase requests and responses of actions for good; gives how many bodies that were.

        May run beside the writer, which notices. What was not erased because of an error can be
        erased again.
        """

    def close(self) -> None:
        """Let go of what was opened for reading."""

"""What the writer needs of the place where a log is kept: SQLite here, or another database."""

from collections.abc import Sequence
from typing import Protocol, final

from ringfence.domain.error import UnavailableError
from ringfence.stores.ledger.projection import Projection


class TakenOverError(UnavailableError):
    """Another process writes the log now, and spends what is left: nothing goes on here."""


@final
class Batch:
    """Leaves to be committed together, numbered from `first`; at most `segment.GROUP`.

    `data` is the leaves joined by line feeds (canonical JSON holds none), `low_us` and `high_us`
    the span of their times.
    """

    __slots__ = ("count", "data", "first", "high_us", "low_us")

    def __init__(self, first: int, count: int, data: bytes, low_us: int, high_us: int) -> None:
        """Take finished leaves."""
        self.first = first
        self.count = count
        self.data = data
        self.low_us = low_us
        self.high_us = high_us

    @property
    def leaves(self) -> list[bytes]:
        """The leaves one by one."""
        return self.data.split(b"\n") if self.count else []


class Backend(Protocol):
    """One log, opened and fenced: nobody else writes it until it is closed.

    `next_sequence` and `pending` (organisation and action of intents without outcome) are what
    was found at opening. The methods are called by one thread, one after another; all but `close`
    raise a RingfenceError if the store fails, and have then changed nothing.
    """

    @property
    def log_id(self) -> str:
        """Which log it is."""

    @property
    def next_sequence(self) -> int:
        """The number that the next leaf gets."""

    @property
    def pending(self) -> Sequence[tuple[str, str]]:
        """Intents without outcome: organisation and action."""

    def commit(self, batch: Batch) -> None:
        """Write a batch; it is durable when this returns."""

    def derive(self, projection: Projection) -> None:
        """Write what follows from committed batches, each projection once and in order.

        Need not be durable: what is lost is derived again at the next opening.
        """

    def probe(self) -> None:
        """Raise unless the log can be written."""

    def close(self) -> None:
        """Let go of the log; never raises."""

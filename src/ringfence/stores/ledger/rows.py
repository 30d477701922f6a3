"""What readers and recovery ask of the place where logs are kept: SQLite files or a database."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from ringfence.domain.budget import AccountKey
from ringfence.stores.ledger.activity import Key
from ringfence.stores.ledger.backend import Backend
from ringfence.stores.ledger.format import decode
from ringfence.stores.ledger.invocation import InvocationRecord
from ringfence.stores.ledger.projection import Projection
from ringfence.stores.ledger.segment import Range, Segment

RawSegment = tuple[int, object, object, object, object]
"""First sequence, count, lowest and highest time, packed leaves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationPage:
    """Invocations of an organisation with `floor` <= id < `before`, at most `most`, by falling id.

    `root` asks for those of one tree.
    """

    organisation: str
    root: str | None
    before: str
    floor: str
    most: int


class LogRows(Protocol):
    """The rows of one log; used by one thread.

    What is derived is complete up to the sequence `projected`. All methods raise UsageError
    `store_damaged` or UnavailableError `store_unavailable`.
    """

    @property
    def log_id(self) -> str:
        """Which log it is."""

    def snapshot(self) -> AbstractContextManager[None]:
        """What is read within is one state of the log; short, since it holds back clean-ups."""

    def projected(self) -> int:
        """Up to which sequence the derived tables are complete."""

    def next_sequence(self) -> int:
        """The sequence after the last one."""

    def seek(self, time_us: int) -> int:
        """Where the first segment begins that reaches a time; beyond the last if none does."""

    def containing(self, sequence: int) -> Segment | None:
        """The segment that holds a sequence."""

    def following(self, sequence: int) -> Iterator[Segment]:
        """All segments that begin after a sequence, in order and in bounded memory."""

    def page(self, within: Range, *, is_newest_first: bool) -> list[Segment]:
        """Some segments from one end of a range; none if there is none left."""

    def raw(self, after: int, most: int) -> list[RawSegment]:
        """Some rows of segments that begin after a sequence, in order, whatever stands in them."""

    def parts_of(self, organisation: str, root: str | None) -> list[Segment]:
        """The segments of a tree in order, and the newest ones, whose trees are not yet known."""

    def root_of(self, organisation: str, invocation: str) -> str | None:
        """The top of an invocation's tree; None if the derived tables do not know it."""

    def invocations(self, page: InvocationPage) -> list[InvocationRecord]:
        """Invocations as the derived tables have them."""

    def runs(self, after: Key, most: int) -> list[InvocationRecord]:
        """Some invocations of all organisations after a key, by rising key."""

    def unended(self) -> Sequence[int]:
        """The sequences of intents without outcome, in order."""

    def spent(self, since_us: int, runs: Collection[Key]) -> Iterable[tuple[AccountKey, int, int]]:
        """Accounts, starts of their windows and amounts, without what no longer matters.

        That is: of windows that began after a time, and of these invocations and trees. Takes as
        long as there are such, however many runs the log has seen.
        """

    def open_invocations(self) -> list[InvocationRecord]:
        """Those that have not ended."""

    def ended(self, invocations: Iterable[Key]) -> dict[Key, str]:
        """Which of these invocations this log knows to have ended, and how."""

    def closed_invocations(self, since_us: int, most: int) -> list[InvocationRecord]:
        """Named ones that were ended on purpose after a time: the latest first."""

    def close(self) -> None:
        """Let go of it."""


class HeldLog(Protocol):
    """The right to write one log, which nobody else has until it is released."""

    @property
    def log_id(self) -> str:
        """Which log it is."""

    def open(self) -> Backend:
        """The log for as long as its writer lives: closing it releases the right."""

    def writing(self) -> AbstractContextManager[Backend]:
        """The log for a moment: the right stays."""

    def release(self) -> None:
        """Let others write; may be called twice."""


class Logs(Protocol):
    """All logs of one place."""

    def ids(self) -> list[str]:
        """Their ids, oldest first."""

    def require(self) -> None:
        """Raise UsageError `store_damaged` if a log that was made is no longer there."""

    def take(self, log_id: str) -> HeldLog:
        """Take a log for writing, making it if there is none.

        Raises UsageError `log_in_use` if another process (or this one) has it, `store_damaged`,
        `schema_newer`, UnavailableError `store_unavailable`. INVARIANT: called after fork.
        """

    def read(self, log_id: str) -> LogRows:
        """One of them, for reading."""

    def delete(
        self, log_id: str, firsts: Sequence[int], told: Sequence[tuple[str, str]] = ()
    ) -> None:
        """Delete segments of a log, by where they begin; may run beside its writer.

        `told` are the invocations (organisation, id) that were opened in them: what their agents
        said of their task goes with the event that said it.

        INVARIANT: never the newest, nor what is not derived from yet.
        """

    def search(self, organisation: str, text: str, *, limit: int) -> list[str]:
        """The actions whose bodies first brought a message with these words, newest first."""

    def close(self) -> None:
        """Let go of what was opened for reading."""


def catch_up(rows: LogRows) -> Projection:
    """Gather what the derived tables of a log do not hold yet; it is still to be written."""
    projected = rows.projected()
    projection = Projection()
    last = rows.containing(projected)
    for part in rows.following(last.first - 1 if last else 0):
        for sequence, leaf in enumerate(part.leaves, part.first):
            if sequence > projected:
                projection.apply(decode(leaf), sequence, part.first)
    return projection

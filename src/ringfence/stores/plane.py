"""What several planes of one database tell each other through it, whatever kind it is."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from ringfence.decisions.account import Place
from ringfence.domain.lease import AccountState, Holder
from ringfence.domain.registry import Card

DEAD_S: Final = 5.0
"""A plane that was silent for so long may be recovered, if nobody holds its logs either."""
GONE: Final = -1
"""What `SharedLimits.written` says to a plane that was taken for dead."""


class ChangeKind(StrEnum):
    """What in the state store has changed."""

    AGENT = "agent"
    CREDENTIAL = "credential"
    USER_TOKEN = "user_token"  # noqa: S105 (a word, not a secret)
    GRANT = "grant"
    SECRET = "secret"  # noqa: S105 (a word, not a secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class StateNote:
    """Something in the state store has changed; how it is now is read there."""

    kind: ChangeKind
    organisation: str
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One invocation as planes share it. `tips` are hashes of conversations, the latest last."""

    card: Card
    tips: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunNote:
    """A run was opened, touched, continued or ended by a plane, which may be one's own."""

    plane: str
    run: Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A plane as the database knows it.

    `plane` is the log that its own process writes, `logs` are those of its workers. `silent_s` is
    how long ago it was heard of, by the database's clock; `taken` is the last change that it obeys.
    One that `keeps_journal` may go on while it is cut off: its own folder alone recovers it.
    """

    plane: str
    logs: tuple[str, ...]
    epoch: int
    configuration: str
    silent_s: float
    taken: int
    keeps_journal: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """What a plane says of itself; see `Member`."""

    taken: int
    epoch: int
    configuration: str
    keeps_journal: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """Everything that planes have told since some number, read at one moment.

    `head` is the number to ask from the next time, `now_us` the database's clock. A plane that is
    not among the `members` has been taken for dead and recovered by another.
    """

    head: int
    state: Sequence[StateNote]
    runs: Sequence[RunNote]
    members: Sequence[Member]
    now_us: int


class Membership(Protocol):
    """One plane among the planes of a database. What blocks is called from threads.

    Methods raise UnavailableError `store_unavailable`.
    """

    def join(self, logs: Sequence[str], configuration: str, patience_s: float) -> News:
        """Become one of the planes, unless one that runs has another configuration.

        `patience_s` is the silence after which a plane is not taken for running.
        Raises UsageError `configuration_differs`.
        """

    def beat(self, since: int, said: Beat) -> News:
        """Be heard of, and hear what is new since that number."""

    def members(self) -> Sequence[Member]:
        """Every plane that runs, or was not recovered yet."""

    def head(self) -> int:
        """The number of the last change that is committed."""

    def leave(self, plane: str, *, is_sure: bool) -> None:
        """Remove a plane that has ended, or, unless that is sure, one that was silent for long."""

    def tidy(self) -> None:
        """Drop what every plane has taken, and limits that are over."""

    def say(self, words: str) -> None:
        """Send words to all planes that listen, this one too; at most 8,000 bytes."""

    def listen(self, hear: Callable[[str], None]) -> Callable[[], None]:
        """Have every word heard, on a thread of its own, until what this gives is called.

        Empty words say that something has changed. Words may be lost.
        """

    def close(self) -> None:
        """Close the connections."""


class SharedRuns(Protocol):
    """The runs of all planes, changed by one plane at a time."""

    def begin(self, since: int) -> tuple[int, Sequence[RunNote]]:
        """Be the only one to change them, and hear what others have changed since that number.

        Ends with `commit` or `rollback`, within a second or two.
        """

    def commit(self, runs: Iterable[Run], *, is_durable: bool) -> int:
        """Write these and let others go on; gives the number of the last one, 0 if none."""

    def rollback(self) -> None:
        """Let others go on; never raises."""

    def all(self) -> tuple[int, Sequence[RunNote]]:
        """Every run that there is, and the number to ask from.

        Among them those that have ended and of which some plane may not know.
        """

    def close(self) -> None:
        """Close the connection."""


class SharedLimits(Protocol):
    """The limits of all planes: rows with versions, written all at once or not at all."""

    def read(self, places: Iterable[Place]) -> Mapping[Place, tuple[int, AccountState]]:
        """These accounts with their versions, begun if they are new.

        One that belongs to a run which is no longer open is not among them.
        """

    def find(self, places: Iterable[Place]) -> Mapping[Place, tuple[int, AccountState]]:
        """Those of these accounts that there are."""

    def write(self, batch: int, states: Iterable[tuple[int, AccountState]]) -> bool:
        """Put these in place of those versions, if all are still so; else change nothing.

        In one atomic statement, which also says that the plane's batch has been written.
        """

    def written(self) -> int:
        """The last batch of this plane that was written: for whoever lost an answer.

        `GONE` if it is no longer one of the planes.
        """

    def of_log(self, log: Holder) -> Mapping[Place, tuple[int, AccountState]]:
        """Every account of which a log's writer has or had something."""

    def logs(self) -> frozenset[str]:
        """The logs whose writers have or had something."""

    def standing(self, organisation: str) -> Sequence[AccountState]:
        """Every account of an organisation."""

    def is_empty(self) -> bool:
        """Whether there is none."""

    def close(self) -> None:
        """Close the connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """All ways in which one plane shares with others; each is used by one thread at a time."""

    plane: str
    membership: Membership
    runs: SharedRuns
    limits: SharedLimits

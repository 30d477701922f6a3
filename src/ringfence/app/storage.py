"""Where an installation keeps everything: files in its data folder, or a database."""

from pathlib import Path
from typing import Protocol, final

from ringfence.config.settings import SQLITE, Settings
from ringfence.domain.error import UsageError
from ringfence.stores.backup import read_restored
from ringfence.stores.body.place import Shelves
from ringfence.stores.body.sqlite import SqliteShelves
from ringfence.stores.hold import FileHolds, Holds
from ringfence.stores.ledger import HeldLog, Logs, SqliteLogs, log_ids
from ringfence.stores.ledger.journal import Journal
from ringfence.stores.plane import Shares
from ringfence.stores.state.store import StateStore, open_state
from ringfence.transport.entropy import Ids


class Storage(Protocol):
    """One kind of place. Everything it opens has an owner of its own, who closes it.

    The methods raise UsageError if the place is wrong, damaged or of a newer release, and
    UnavailableError `store_unavailable`.
    """

    def state(self) -> StateStore:
        """The control state."""

    def logs(self) -> Logs:
        """The ledger."""

    def journal(self, log_id: str) -> Journal | None:
        """What stands in for a log while it is away; None where it is on this machine itself."""

    def shelves(self) -> Shelves:
        """The bodies."""

    def holds(self, organisation: str) -> Holds:
        """What must not be deleted of an organisation."""

    def owns(self, log_id: str) -> bool:
        """Whether a log is this installation's, so that no other folder vouches for it."""

    def hash_seed(self) -> str:
        """How the workers of all planes hash; empty where no other plane can be."""

    def running_logs(self) -> frozenset[str]:
        """The logs of other planes that run: their own business, also when nobody holds them."""

    def shares(self, plane: str) -> Shares | None:
        """How the plane that writes this log shares with others; None where it shares nothing."""

    def take_log(self, logs: Logs, ids: Ids) -> HeldLog:
        """The right to write this process's log: the newest there is, else a new one.

        After a restore it is a new one: what others know of the old logs may go further than the
        copy. Raises UsageError `log_in_use`.
        """

    def worker_logs(self, count: int, own: str, ids: Ids) -> tuple[str, ...]:
        """One log for each worker process: the newest beside the plane's `own`, else new ones."""


def storage_of(settings: Settings) -> Storage:
    """The place that the settings name. Raises as `storage_at`."""
    return storage_at(settings.data, settings.database)


def storage_at(folder: Path, database: str) -> Storage:
    """The place that a data folder and `--database` name.

    Raises UsageError `setting_invalid` or `driver_missing`.
    """
    if database == SQLITE:
        return Files(folder)
    try:
        from ringfence.app.postgresql import open_storage  # noqa: PLC0415 (its driver is an extra)
    except ImportError as error:
        raise UsageError(
            "driver_missing",
            "the driver for PostgreSQL is not installed",
            help="pip install 'ringfence[postgresql]'",
        ) from error
    return open_storage(folder, database)


@final
class Files:
    """SQLite files in the data folder: one plane, nothing to set up."""

    def __init__(self, folder: Path) -> None:
        """Take the data folder."""
        self._folder = folder

    def state(self) -> StateStore:
        """`state.db`."""
        return open_state(self._folder)

    def logs(self) -> Logs:
        """A file for each writer."""
        return SqliteLogs(self._folder)

    def journal(self, log_id: str) -> None:
        """A journal would be on the same disk."""
        del log_id

    def shelves(self) -> Shelves:
        """A file for each organisation."""
        return SqliteShelves(self._folder)

    def holds(self, organisation: str) -> FileHolds:
        """A file for each organisation."""
        return FileHolds(self._folder, organisation)

    def owns(self, log_id: str) -> bool:
        """Every log in the folder."""
        del log_id
        return True

    def hash_seed(self) -> str:
        """A plane of its own."""
        return ""

    def running_logs(self) -> frozenset[str]:
        """None but this plane's."""
        return frozenset()

    def shares(self, plane: str) -> None:
        """Nothing."""
        del plane

    def take_log(self, logs: Logs, ids: Ids) -> HeldLog:
        """The folder is one plane's, so that the newest log is free unless the plane is running."""
        known = self._usable()
        return logs.take(known[-1] if known else ids.make("log"))

    def worker_logs(self, count: int, own: str, ids: Ids) -> tuple[str, ...]:
        """Of the files there are."""
        known = [log for log in reversed(self._usable()) if log != own]
        return tuple(known[at] if at < len(known) else ids.make("log") for at in range(count))

    def _usable(self) -> list[str]:
        return [] if read_restored(self._folder) is not None else log_ids(self._folder)

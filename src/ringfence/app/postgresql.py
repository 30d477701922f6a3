"""Everything in a PostgreSQL database, which several planes may share."""

from collections.abc import Iterator
from pathlib import Path
from typing import final

from ringfence.domain.error import UsageError
from ringfence.stores.backup import read_restored
from ringfence.stores.database import make_folder
from ringfence.stores.ledger import HeldLog, Logs
from ringfence.stores.ledger.journal import Journal
from ringfence.stores.plane import DEAD_S, Shares
from ringfence.stores.postgresql.address import Address
from ringfence.stores.postgresql.body import PostgresShelves
from ringfence.stores.postgresql.ledger_logs import PostgresLogs
from ringfence.stores.postgresql.legal_hold import PostgresHolds
from ringfence.stores.postgresql.limit import PostgresLimits
from ringfence.stores.postgresql.plane import PostgresMembership, read_seed
from ringfence.stores.postgresql.run import PostgresRuns
from ringfence.stores.postgresql.state import open_state
from ringfence.stores.state.database import secure_folder
from ringfence.stores.state.store import StateStore
from ringfence.transport.entropy import Ids, hash_seed

_LOGS = "logs"


def open_storage(folder: Path, url: str) -> "PostgreSql":
    """The database of that URL. Raises UsageError `setting_invalid`; nothing is connected yet."""
    return PostgreSql(folder, Address.parse(url))


@final
class PostgreSql:
    """Implements `app.storage.Storage`. Each plane has a data folder of its own.

    The folder remembers which logs are this plane's, since what vouches for them lies there.
    """

    def __init__(self, folder: Path, address: Address) -> None:
        """Take the data folder and where the database is."""
        self._folder = folder
        self._address = address

    def state(self) -> StateStore:
        """Tables of the database."""
        secure_folder(self._folder)
        return open_state(self._address)

    def logs(self) -> Logs:
        """Rows of the database."""
        return PostgresLogs(self._address)

    def journal(self, log_id: str) -> Journal:
        """A file in the data folder, for while the database is away."""
        return Journal(self._folder, log_id)

    def shelves(self) -> PostgresShelves:
        """Rows of the database."""
        return PostgresShelves(self._address)

    def holds(self, organisation: str) -> PostgresHolds:
        """Rows of the database, the same for all planes."""
        return PostgresHolds(self._address, organisation)

    def owns(self, log_id: str) -> bool:
        """Whether the folder remembers it."""
        return (self._folder / _LOGS / log_id).exists()

    def hash_seed(self) -> str:
        """What the first plane has drawn."""
        return read_seed(self._address, hash_seed())

    def running_logs(self) -> frozenset[str]:
        """Those of planes of another folder that were heard of just now, or keep a journal."""
        membership = PostgresMembership(self._address, "")
        try:
            members = membership.members()
        finally:
            membership.close()
        return frozenset(
            log
            for member in members
            if (member.silent_s < DEAD_S or member.keeps_journal) and not self.owns(member.plane)
            for log in (member.plane, *member.logs)
        )

    def shares(self, plane: str) -> Shares:
        """Through tables of the database."""
        return Shares(
            plane=plane,
            membership=PostgresMembership(self._address, plane),
            runs=PostgresRuns(self._address, plane),
            limits=PostgresLimits(self._address, plane),
        )

    def take_log(self, logs: Logs, ids: Ids) -> HeldLog:
        """One of this plane's own that nobody writes, the newest first; else a new one."""
        for log_id in self._own():
            try:
                return logs.take(log_id)
            except UsageError as error:
                if error.code != "log_in_use":
                    raise
        return logs.take(self._another(ids))

    def worker_logs(self, count: int, own: str, ids: Ids) -> tuple[str, ...]:
        """Of those that are this plane's."""
        known = [log for log in self._own() if log != own][:count]
        return (*known, *(self._another(ids) for _ in range(count - len(known))))

    def _another(self, ids: Ids) -> str:
        log_id = ids.make("log")
        make_folder(self._folder / _LOGS)
        (self._folder / _LOGS / log_id).touch(mode=0o600)
        return log_id

    def _own(self) -> Iterator[str]:
        if read_restored(self._folder) is None:
            yield from sorted(
                (path.name for path in (self._folder / _LOGS).glob("*")), reverse=True
            )

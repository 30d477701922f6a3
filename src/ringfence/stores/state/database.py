"""Opening the state database and running transactions in it."""

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from ringfence.domain.error import UnavailableError, UsageError
from ringfence.stores.database import damaged, sync_folder
from ringfence.stores.state import schema

FILE = "state.db"

_NOUN = "state store"
_BUSY_S = 5
_OVERWRITING_S = 1
"""Nobody else can write while SQLite waits for the last reader of an older state."""
_PATIENCE = "PRAGMA busy_timeout = {}"
_READS = "ringfence_reads"


class Database:
    """Transactions in the state store; safe to use from several threads.

    The engine's own "begin" event makes a transaction the only writing one, unless `is_reading`.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        reading: Mapping[str, object] | None = None,
        path: Path | None = None,
    ) -> None:
        """Bring the schema up to date; `reading` are further options of transactions that read.

        `path` is the file, if it is one. Raises UsageError `schema_newer`.
        """
        self._engine = engine
        self._path = path
        self._identity = _identity(path)
        self._reader = engine.execution_options(**{_READS: True}, **(reading or {}))
        with self.write() as connection:
            schema.migrate(connection)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view. Raises UnavailableError `store_unavailable`."""
        with _translated(), self._reader.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """All or nothing; one writer at a time. Raises UnavailableError `store_unavailable`.

        INVARIANT: what is written stands in the file that the next start reads.
        """
        self._require_place()
        with _translated(), self._engine.begin() as connection:
            yield connection
            self._require_place()

    def ping(self) -> None:
        """Return if the store answers. Raises UnavailableError `store_unavailable`."""
        self._require_place()
        with self.read() as connection:
            connection.execute(text("SELECT 1"))

    def _require_place(self) -> None:
        """SQLite goes on with a file that it has open, also when that was moved or replaced."""
        if self._path is not None and _identity(self._path) != self._identity:
            raise UnavailableError(
                "store_unavailable",
                "the state store does not answer: its file was moved or replaced",
                help="put it back, or restart the plane",
            )

    def overwrite(self) -> None:
        """Let go of what was deleted where it still stands beside the tables, as far as we can.

        SQLite's write-ahead log holds older pages until somebody starts it anew. A reader that is
        in its way leaves them until the next time; a server does this by itself.
        """
        if self._engine.dialect.name != "sqlite":
            return
        connection = self._engine.raw_connection()
        try:
            with closing(connection.cursor()) as cursor:
                cursor.execute(_PATIENCE.format(_OVERWRITING_S * 1000))
                with suppress(sqlite3.OperationalError):
                    cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                cursor.execute(_PATIENCE.format(_BUSY_S * 1000))
        finally:
            connection.close()

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


def _identity(path: Path | None) -> tuple[int, int] | None:
    """Which file it is; None if there is none."""
    try:
        found = path.stat() if path is not None else None
    except OSError:
        return None
    return None if found is None else (found.st_dev, found.st_ino)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        # The text of a database error can quote parameters: only its class leaves this module.
        raise UnavailableError(
            "store_unavailable",
            "the state store does not answer",
            help="check the disk and the data folder's permissions, or the database server",
        ) from error


def is_of_this_release(folder: Path) -> bool:
    """Whether a data folder has a state store with the schema of this release; changes nothing."""
    path = folder / FILE
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            (found,) = database.execute("SELECT max(version) FROM schema_version").fetchone()
    except sqlite3.Error:
        return False
    return bool(found == 1 + len(schema.STEPS))


def open_sqlite(folder: Path) -> Database:
    """Open or create `state.db` in a data folder that only its owner can enter.

    Raises UsageError `data_folder_open`, `data_folder_unusable`, `store_damaged` or `schema_newer`.
    """
    secure_folder(folder)
    path = folder / FILE
    if not path.exists():
        _create(path)
    # An empty file would pass for a new store, in which nobody is suspended and no token is known.
    if path.stat().st_size == 0:
        raise damaged(path, _NOUN, "it is empty")
    try:
        return _open(path)
    except UnavailableError as error:
        cause = getattr(error.__cause__, "orig", None)
        if type(cause) is sqlite3.DatabaseError:  # SQLITE_CORRUPT and SQLITE_NOTADB have no class
            raise damaged(path, _NOUN, str(cause)) from error
        raise


def _create(path: Path) -> None:
    """Make the file whole in another place, so that a crash never leaves an empty one."""
    with TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as place:
        new = Path(place) / path.name
        # SQLite gives its WAL and shared-memory files the mode of the database file.
        os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        _open(new).close()
        with suppress(FileExistsError):  # another process was first; its file is as good
            os.link(new, path)
    sync_folder(path.parent)


def _open(path: Path) -> Database:
    engine = create_engine(
        # Never made here: what is missing is not replaced by an empty one.
        URL.create(
            "sqlite", database=f"file:{quote(str(path))}", query={"mode": "rw", "uri": "true"}
        ),
        connect_args={"timeout": _BUSY_S, "check_same_thread": False},
        hide_parameters=True,
    )
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    try:
        return Database(engine, path=path)
    except BaseException:
        engine.dispose()
        raise


def secure_folder(folder: Path) -> None:
    """Create a folder with mode 0700, or check that it has no wider one.

    One that is empty or already holds our state is tightened instead of refused.
    Raises UsageError `data_folder_open` or `data_folder_unusable`.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
        if found.st_mode & 0o077 == 0:
            return
        if found.st_uid == os.geteuid() and ((folder / FILE).exists() or not any(folder.iterdir())):
            folder.chmod(0o700)
            return
    except OSError as error:
        raise UsageError(
            "data_folder_unusable",
            f"the data folder `{folder}` cannot be used: {error.strerror}",
            help="name another one with --data",
        ) from error
    raise UsageError(
        "data_folder_open",
        f"the data folder `{folder}` can be entered by other users of this machine",
        help=f"chmod 700 {folder}, or name another one with --data",
    )


def _configure(connection: sqlite3.Connection, _record: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver's own implicit BEGIN is deferred; see `_begin`
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = ON")  # what is erased is overwritten


def _begin(connection: Connection) -> None:
    # A deferred transaction that turns into a writer fails at once instead of waiting.
    connection.exec_driver_sql("BEGIN" if is_reading(connection) else "BEGIN IMMEDIATE")


def is_reading(connection: Connection) -> bool:
    """Whether a transaction was begun to read only."""
    return bool(connection.get_execution_options().get(_READS, False))

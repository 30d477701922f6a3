"""Bring a SQLite file to the schema this version knows, forwards only."""

import sqlite3
from collections.abc import Sequence

from ringfence.domain.error import UsageError

Step = Sequence[str]
"""The statements that lead from one schema version to the next; never changed once released."""


def version_of(connection: sqlite3.Connection) -> int:
    """The schema version a file states; 0 for one that never had a step applied."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def migrate(connection: sqlite3.Connection, steps: Sequence[Step], *, name: str) -> None:
    """Apply the steps the file has not seen, all in one transaction.

    `connection` must be in autocommit mode (`isolation_level=None`). `name` names the file in
    messages. Raises UsageError `schema_newer`.
    """
    if check(connection, steps, name=name) == len(steps):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Read again: another process may have migrated while this one waited for the lock.
        for step in steps[check(connection, steps, name=name) :]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(steps)}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def check(connection: sqlite3.Connection, steps: Sequence[Step], *, name: str) -> int:
    """The file's schema version. Raises UsageError `schema_newer` if it is unknown here."""
    version = version_of(connection)
    if version > len(steps):
        raise UsageError(
            "schema_newer",
            f"`{name}` has schema {version}, this version of Ringfence knows up to {len(steps)}",
            help="start the newer version of Ringfence that wrote it",
        )
    return version


def check_latest(connection: sqlite3.Connection, steps: Sequence[Step], *, name: str) -> None:
    """For a reader, which cannot migrate. Raises UsageError `schema_newer` or `schema_older`."""
    version = check(connection, steps, name=name)
    if version < len(steps):
        raise UsageError(
            "schema_older",
            f"`{name}` has schema {version}, which is older than this version of Ringfence",
            help="start the plane once, so that it brings its files up to date",
        )

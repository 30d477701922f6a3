"""Bring a PostgreSQL database to the schema that each store here knows, forwards only.

Each store has steps of its own, as each kind of SQLite file has. All planes of a database migrate
one after the other, so that any number may start at once.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from ringfence.domain.error import UsageError
from ringfence.stores.migration import Step
from ringfence.stores.postgresql.connection import Connection

MIGRATING: Final = "migrate"
_PATIENCE_S: Final = 600.0
"""A step may rewrite a large table, and another plane may be at it."""

_VERSIONS: Final = """CREATE TABLE IF NOT EXISTS store_versions (
    store text PRIMARY KEY,
    version integer NOT NULL
)"""
_LOCK: Final = (
    "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || ':ringfence:' || %s, 0))"
)


def migrate(connection: Connection, stores: Mapping[str, Sequence[Step]]) -> None:
    """Take every step that the database has not seen, all in one transaction.

    `stores` gives the steps by name. Raises UsageError `schema_newer`; then nothing was changed.
    """
    if not any(missing(connection, stores).values()):
        return
    patience_s, connection.patience_s = connection.patience_s, _PATIENCE_S
    try:
        with connection.transaction():
            lock(connection, MIGRATING)
            connection.execute(_VERSIONS)
            for store, steps in missing(connection, stores).items():  # again, now alone
                _take(connection, steps)
                connection.execute(
                    "INSERT INTO store_versions VALUES (%s, %s)"
                    " ON CONFLICT (store) DO UPDATE SET version = excluded.version",
                    (store, len(stores[store])),
                )
    finally:
        connection.patience_s = patience_s


def missing(
    connection: Connection, stores: Mapping[str, Sequence[Step]]
) -> Mapping[str, Sequence[Step]]:
    """The steps that a start would take, by store; changes nothing. Raises `schema_newer`."""
    known = versions(connection)
    for store, steps in stores.items():
        if known.get(store, 0) > len(steps):
            raise UsageError(
                "schema_newer",
                f"{store} in the database has schema {known[store]}, this version of Ringfence"
                f" knows up to {len(steps)}",
                help="start the newer version of Ringfence that wrote it",
            )
    return {store: steps[known.get(store, 0) :] for store, steps in stores.items()}


def require_newest(connection: Connection, stores: Mapping[str, Sequence[Step]]) -> None:
    """For a reader: make the tables of a new database, and change nothing of a used one.

    Raises UsageError `schema_newer` or `schema_older`.
    """
    if not versions(connection):
        migrate(connection, stores)
    for store, steps in missing(connection, stores).items():
        if steps:
            raise UsageError(
                "schema_older",
                f"{store} in the database has a schema that is older than this version",
                help="start the plane once, so that it brings the database up to date",
            )


def versions(connection: Connection) -> Mapping[str, int]:
    """The schema version of each store; none in a database that was never used."""
    (name,) = connection.execute("SELECT to_regclass('store_versions')::text").fetchone() or (None,)
    if name is None:
        return {}
    return dict(connection.execute("SELECT store, version FROM store_versions").fetchall())


def lock(connection: Connection, purpose: str) -> None:
    """Be the only one of this database (and schema) at something until the transaction ends."""
    connection.execute(_LOCK, (purpose,))


def _take(connection: Connection, steps: Sequence[Step]) -> None:
    for step in steps:
        for statement in step:
            connection.execute(statement.encode())

"""The state store in PostgreSQL: the same tables and records, one writer at a time."""

from typing import Final

from sqlalchemy import Connection, create_engine, event

from ringfence.stores.postgresql.address import Address
from ringfence.stores.postgresql.connection import connect, translated
from ringfence.stores.postgresql.migration import migrate
from ringfence.stores.postgresql.schema import NOTING, STORES
from ringfence.stores.state.database import Database, is_reading
from ringfence.stores.state.store import StateStore, state_on

_CONNECTIONS: Final = 4
"""Kept open by one process; a fifth thread at a time opens one for itself."""

_READING: Final = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
_NOUN: Final = "state"
WRITING: Final = "state"
"""The lock under which this store, and all that planes tell each other, is written."""
_LOCK: Final = (
    f"SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || ':ringfence:{WRITING}', 0))"
)


def open_state(address: Address) -> StateStore:
    """Open the state store, making its tables if there are none; planes may start together.

    Raises UsageError `database_refused`, `database_unknown` or `schema_newer`, UnavailableError
    `store_unavailable`.
    """
    connect(address).close()  # says what is wrong in more words than the engine may
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: connect(address, is_autocommit=False),
        pool_size=_CONNECTIONS,
        pool_pre_ping=True,  # after a restart of the server the first question is answered too
        hide_parameters=True,
    )
    event.listen(engine, "begin", _begin)
    try:
        state = state_on(Database(engine, reading=_READING))
        with connect(address) as connection, translated(_NOUN):
            migrate(connection, {**STORES, **NOTING})
    except BaseException:
        engine.dispose()
        raise
    return state


def _begin(connection: Connection) -> None:
    # Records read before they write, as under SQLite's BEGIN IMMEDIATE; changes of state are rare.
    if not is_reading(connection):
        connection.exec_driver_sql(_LOCK)

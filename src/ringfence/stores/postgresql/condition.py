"""How a database is, for whoever wants to know before a start: nothing is changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ringfence.stores.postgresql.address import Address
from ringfence.stores.postgresql.connection import Connection, connect, translated
from ringfence.stores.postgresql.migration import versions
from ringfence.stores.postgresql.schema import NOTING, STORES
from ringfence.stores.state.schema import STEPS, schema_version

_NOUN: Final = "database"
_STATE: Final = "state"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What was found.

    `schemas` gives, per store, the version that is there (0 for none) and the one that this release
    brings it to. `is_durable` is false if the server may lose what it said it had committed.
    """

    server: str
    schemas: Mapping[str, tuple[int, int]]
    is_durable: bool
    is_primary: bool

    @property
    def steps(self) -> Mapping[str, range]:
        """The versions that the next start brings each store to, one after the other."""
        return {
            store: range(found + 1, newest + 1)
            for store, (found, newest) in self.schemas.items()
            if found < newest
        }

    @property
    def newer(self) -> tuple[str, ...]:
        """Stores that a later release has already migrated."""
        return tuple(store for store, (found, newest) in self.schemas.items() if found > newest)


def look(address: Address) -> Condition:
    """Look at a database. Raises as `connect`."""
    with translated(_NOUN), connect(address) as connection:
        known = versions(connection)
        stores = {**STORES, **NOTING}
        schemas = {store: (known.get(store, 0), len(steps)) for store, steps in stores.items()}
        schemas[_STATE] = (_state_version(connection), 1 + len(STEPS))
        return Condition(
            server=_setting(connection, "server_version").split(" ", maxsplit=1)[0],
            schemas=schemas,
            is_durable=_setting(connection, "fsync") == "on"
            and _setting(connection, "full_page_writes") == "on",
            is_primary=_setting(connection, "transaction_read_only") == "off",
        )


def _state_version(connection: Connection) -> int:
    (is_there,) = connection.execute(
        "SELECT to_regclass(%s) IS NOT NULL", (schema_version.name,)
    ).fetchone() or (False,)
    if not is_there:
        return 0
    row = connection.execute("SELECT max(version) FROM schema_version").fetchone()
    return int(row[0]) if row and row[0] is not None else 0


def _setting(connection: Connection, name: str) -> str:
    row = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
    return str(row[0]) if row else ""

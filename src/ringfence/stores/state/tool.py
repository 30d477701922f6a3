"""Tools: what sources list, what of it is accepted, and every definition that they ever had."""

import msgspec
from sqlalchemy import Connection, Row, delete, func, insert, select, update

from ringfence.domain.tool_source import ToolListing, ToolSource, ToolVersion
from ringfence.stores.state.database import Database
from ringfence.stores.state.schema import tool_sources, tool_versions

VERSIONS_KEPT = 50
"""How many definitions of one tool are remembered; a source that never stops changing has no more.
"""


class ToolRecords:
    """Sources of tools of all organisations."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    def all(self) -> tuple[ToolSource, ...]:
        """Every source of every organisation."""
        query = select(tool_sources.c.document)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return tuple(msgspec.json.decode(row.document, type=ToolSource) for row in rows)

    def keep(self, source: ToolSource, listed: tuple[tuple[str, str, bytes], ...]) -> None:
        """Write a source as it is now; `listed` is name, pin and definition of what it lists."""
        listing = source.listing
        mine = (
            tool_sources.c.organisation == listing.organisation,
            tool_sources.c.source == listing.source,
        )
        document = {"document": msgspec.json.encode(source), "seen_us": listing.seen_us}
        with self._database.write() as connection:
            changed = connection.execute(update(tool_sources).where(*mine).values(document))
            if not changed.rowcount:
                row = {"organisation": listing.organisation, "source": listing.source}
                connection.execute(insert(tool_sources).values(row | document))
            for name, pin, raw in listed:
                _keep_version(connection, listing, name, pin, raw)

    def history(self, organisation: str, source: str, name: str) -> tuple[ToolVersion, ...]:
        """Every definition of a tool that is remembered, the newest first."""
        table = tool_versions
        query = select(table).where(
            table.c.organisation == organisation, table.c.source == source, table.c.name == name
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        newest = sorted(rows, key=lambda row: (-row.last_us, -row.first_us, row.pin))
        return tuple(_version(row) for row in newest)


def _keep_version(
    connection: Connection, listing: ToolListing, name: str, pin: str, raw: bytes
) -> None:
    table = tool_versions
    its = (
        table.c.organisation == listing.organisation,
        table.c.source == listing.source,
        table.c.name == name,
    )
    seen = {"last_us": listing.seen_us, "version": listing.version}
    known = connection.execute(update(table).where(*its, table.c.pin == pin).values(seen))
    if known.rowcount:
        return
    row = {
        "organisation": listing.organisation,
        "source": listing.source,
        "name": name,
        "pin": pin,
        "raw": raw,
        "first_us": listing.seen_us,
    }
    connection.execute(insert(table).values(row | seen))
    kept = connection.execute(select(func.count()).select_from(table).where(*its)).scalar_one()
    if kept > VERSIONS_KEPT:
        oldest = select(func.min(table.c.last_us)).where(*its).scalar_subquery()
        connection.execute(delete(table).where(*its, table.c.last_us == oldest))


def _version(row: Row[tuple[object, ...]]) -> ToolVersion:
    return ToolVersion(
        name=row.name,
        pin=row.pin,
        raw=row.raw,
        version=row.version,
        first_us=row.first_us,
        last_us=row.last_us,
    )

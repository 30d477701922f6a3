"""Stored secrets as their rows: encrypted before they come here, and opened elsewhere."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, insert, select, update

from ringfence.stores.state.database import Database
from ringfence.stores.state.schema import stored_secrets


class SecretRow(msgspec.Struct, frozen=True, kw_only=True):
    """One stored secret. `generation` counts its values; `meta` is not secret."""

    organisation: str
    space: str
    name: str
    generation: int
    key: str
    wrapped: bytes
    sealed: bytes
    meta: Mapping[str, str]
    created_us: int
    changed_us: int
    changed_by: str


class SecretRecords:
    """Stored secrets of all organisations."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    def get(self, organisation: str, space: str, name: str) -> SecretRow | None:
        """One, if it is there."""
        with self._database.read() as connection:
            return _find(connection, organisation, space, name)

    def list(
        self, organisation: str, space: str, *, after: str = "", limit: int | None = None
    ) -> tuple[SecretRow, ...]:
        """Those of an organisation in the order of their names; without a limit, all of them."""
        table = stored_secrets
        query = select(table).where(
            table.c.organisation == organisation, table.c.space == space, table.c.name > after
        )
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(table.c.name).limit(limit)).all()
        return tuple(_read(row) for row in rows)

    def all(self) -> tuple[SecretRow, ...]:
        """Those of all organisations and spaces."""
        table = stored_secrets
        order = (table.c.organisation, table.c.space, table.c.name)
        with self._database.read() as connection:
            rows = connection.execute(select(table).order_by(*order)).all()
        return tuple(_read(row) for row in rows)

    def is_empty(self) -> bool:
        """Whether no organisation has stored any."""
        with self._database.read() as connection:
            return connection.execute(select(stored_secrets.c.name).limit(1)).first() is None

    def put(self, row: SecretRow) -> SecretRow:
        """Write one, new or in place of what has its name; gives it with its generation."""
        with self._database.write() as connection:
            known = _find(connection, row.organisation, row.space, row.name)
            if known is None:
                connection.execute(insert(stored_secrets).values(_write(row)))
                return row
            kept = msgspec.structs.replace(
                row, generation=known.generation + 1, created_us=known.created_us
            )
            connection.execute(update(stored_secrets).where(*_is(known)).values(_write(kept)))
        self._database.overwrite()
        return kept

    def delete(self, organisation: str, space: str, name: str) -> bool:
        """Remove one; whether it was there."""
        table = stored_secrets
        gone = delete(table).where(
            table.c.organisation == organisation, table.c.space == space, table.c.name == name
        )
        with self._database.write() as connection:
            was_there = bool(connection.execute(gone).rowcount)
        self._database.overwrite()
        return was_there

    def rewrite(self, change: Callable[[SecretRow], SecretRow]) -> int:
        """Replace the key of every row of every organisation, all or nothing; how many changed."""
        count = 0
        with self._database.write() as connection:
            for row in connection.execute(select(stored_secrets)).all():
                before = _read(row)
                after = change(before)
                if after != before:
                    values = {"key": after.key, "wrapped": after.wrapped}
                    connection.execute(update(stored_secrets).where(*_is(before)).values(values))
                    count += 1
        self._database.overwrite()
        return count


def _find(connection: Connection, organisation: str, space: str, name: str) -> SecretRow | None:
    table = stored_secrets
    query = select(table).where(
        table.c.organisation == organisation, table.c.space == space, table.c.name == name
    )
    row = connection.execute(query).first()
    return None if row is None else _read(row)


def _is(row: SecretRow) -> tuple[Any, ...]:
    table = stored_secrets
    return (
        table.c.organisation == row.organisation,
        table.c.space == row.space,
        table.c.name == row.name,
    )


def _write(row: SecretRow) -> dict[str, object]:
    meta = msgspec.json.encode(row.meta, order="sorted")
    return {**msgspec.structs.asdict(row), "meta": meta}


def _read(row: Row[Any]) -> SecretRow:
    fields = dict(row._mapping)  # noqa: SLF001 (SQLAlchemy's public name for it)
    return SecretRow(**{**fields, "meta": msgspec.json.decode(row.meta, type=dict[str, str])})

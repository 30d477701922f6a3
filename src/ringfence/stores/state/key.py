"""People's API keys, known by their digest only."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, insert, select, update

from ringfence.domain.credential import ApiKey
from ringfence.domain.error import UsageError
from ringfence.domain.organisation import Role
from ringfence.stores.state.database import Database
from ringfence.stores.state.schema import api_keys


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """An API key with what people see of it."""

    key: ApiKey
    label: str
    created_by: str


class KeyRecords:
    """API keys of all organisations."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    def add(self, record: KeyRecord) -> None:
        """Keep a new key."""
        key = record.key
        row = {
            "organisation": key.organisation,
            "id": key.id,
            "user": key.user,
            "digest": key.digest,
            "label": record.label,
            "roles": " ".join(sorted(key.roles)),
            "created_us": key.created_us,
            "created_by": record.created_by,
            "revoked_us": key.revoked_us,
        }
        with self._database.write() as connection:
            connection.execute(insert(api_keys).values(row))

    def revoke(self, organisation: str, key: str, *, now_us: int) -> ApiKey:
        """End a key now; one that has ended stays as it was. Raises UsageError `key_unknown`."""
        mine = (api_keys.c.organisation == organisation, api_keys.c.id == key)
        with self._database.write() as connection:
            living = api_keys.c.revoked_us.is_(None)
            connection.execute(update(api_keys).where(*mine, living).values(revoked_us=now_us))
            row = connection.execute(select(api_keys).where(*mine)).first()
        if row is None:
            raise UsageError("key_unknown", f"no API key with id `{key}`")
        return _key(row)

    def list(
        self, organisation: str, *, after: str = "", limit: int = 100
    ) -> tuple[KeyRecord, ...]:
        """Keys in the order of their ids (which is that of their making)."""
        mine = api_keys.c.organisation == organisation
        query = select(api_keys).where(mine, api_keys.c.id > after)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(api_keys.c.id).limit(limit)).all()
        return tuple(
            KeyRecord(key=_key(row), label=row.label, created_by=row.created_by) for row in rows
        )

    def find(self, digest: bytes) -> ApiKey | None:
        """The key with this digest, dead or alive."""
        with self._database.read() as connection:
            row = connection.execute(select(api_keys).where(api_keys.c.digest == digest)).first()
        return None if row is None else _key(row)


def _key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        id=row.id,
        organisation=row.organisation,
        user=row.user,
        digest=row.digest,
        roles=frozenset(Role(role) for role in row.roles.split()),
        created_us=row.created_us,
        revoked_us=row.revoked_us,
    )

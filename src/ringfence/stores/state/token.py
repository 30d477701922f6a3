"""Agent tokens, known by their digest only."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, or_, select, update

from ringfence.domain.caller import CallerTier
from ringfence.domain.credential import AgentCredential
from ringfence.domain.error import UsageError
from ringfence.stores.state.database import Database
from ringfence.stores.state.schema import credentials, user_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRecord:
    """An agent's credential with what people see of it.

    `replaces` is the id of the credential that this one was rotated from.
    """

    credential: AgentCredential
    label: str
    created_by: str
    replaces: str | None = None


class TokenRecords:
    """Agent credentials of all organisations.

    `revoked_us` may lie in the future: then the credential is good until that moment (the grace
    of a rotation). A credential is dead when `revoked_us <= now`.
    """

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    def add(self, record: TokenRecord) -> None:
        """Keep a new credential."""
        with self._database.write() as connection:
            connection.execute(insert(credentials).values(_write(record)))

    def rotate(self, record: TokenRecord, *, now_us: int, revoke_us: int) -> AgentCredential:
        """Keep a new credential and let the one it `replaces` end at `revoke_us`.

        Gives the replaced one as it is now. Raises UsageError `token_unknown` or `token_revoked`.
        """
        with self._database.write() as connection:
            agent = record.credential.agent
            old = _one(connection, record.credential.organisation, agent, record.replaces or "")
            if old.revoked_us is not None and old.revoked_us <= now_us:
                raise UsageError(
                    "token_revoked",
                    f"token `{old.id}` is already revoked",
                    help="make a new token instead",
                )
            connection.execute(insert(credentials).values(_write(record)))
            return _end(connection, old, revoke_us)

    def revoke(self, organisation: str, agent: str, token: str, *, now_us: int) -> AgentCredential:
        """End a credential now, also one within its grace. Raises UsageError `token_unknown`."""
        with self._database.write() as connection:
            return _end(connection, _one(connection, organisation, agent, token), now_us)

    def get(self, organisation: str, agent: str, token: str) -> AgentCredential:
        """One credential of an agent. Raises UsageError `token_unknown`."""
        with self._database.read() as connection:
            return _one(connection, organisation, agent, token)

    def list(
        self, organisation: str, agent: str, *, after: str = "", limit: int = 100
    ) -> tuple[TokenRecord, ...]:
        """An agent's credentials in the order of their ids (which is that of their making)."""
        mine = (credentials.c.organisation == organisation, credentials.c.agent == agent)
        query = select(credentials).where(*mine, credentials.c.id > after)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(credentials.c.id).limit(limit)).all()
        return tuple(_record(row) for row in rows)

    def all(self) -> tuple[AgentCredential, ...]:
        """Every credential of every organisation, dead ones too: for the data plane's index.

        User tokens are among them: agents show them.
        """
        with self._database.read() as connection:
            rows = connection.execute(select(credentials)).all()
            users = connection.execute(select(user_tokens)).all()
        return (*map(_credential, rows), *map(user_credential, users))

    def named(self, organisation: str, ids: Collection[str]) -> tuple[AgentCredential, ...]:
        """These credentials of an organisation, user tokens too."""
        found: list[AgentCredential] = []
        with self._database.read() as connection:
            for table, read in ((credentials, _credential), (user_tokens, user_credential)):
                mine = (table.c.organisation == organisation, table.c.id.in_(ids))
                found += map(read, connection.execute(select(table).where(*mine)))
        return tuple(found)

    def find(self, digest: bytes) -> AgentCredential | None:
        """The credential with this digest, dead or alive."""
        with self._database.read() as connection:
            query = select(credentials).where(credentials.c.digest == digest)
            row = connection.execute(query).first()
        return None if row is None else _credential(row)


def _one(connection: Connection, organisation: str, agent: str, token: str) -> AgentCredential:
    query = select(credentials).where(
        credentials.c.organisation == organisation,
        credentials.c.id == token,
        credentials.c.agent == agent,
    )
    row = connection.execute(query).first()
    if row is None:
        raise UsageError("token_unknown", f"this agent has no token with id `{token}`")
    return _credential(row)


def _end(connection: Connection, credential: AgentCredential, at_us: int) -> AgentCredential:
    """Never later than it would have ended anyway."""
    mine = (
        credentials.c.organisation == credential.organisation,
        credentials.c.id == credential.id,
    )
    later = or_(credentials.c.revoked_us.is_(None), credentials.c.revoked_us > at_us)
    connection.execute(update(credentials).where(*mine, later).values(revoked_us=at_us))
    return _one(connection, credential.organisation, credential.agent, credential.id)


def _write(record: TokenRecord) -> dict[str, Any]:
    credential = record.credential
    return {
        "organisation": credential.organisation,
        "id": credential.id,
        "agent": credential.agent,
        "digest": credential.digest,
        "label": record.label,
        "created_us": credential.created_us,
        "created_by": record.created_by,
        "revoked_us": credential.revoked_us,
        "replaces": record.replaces,
        "tier": credential.tier.value,
    }


def _record(row: Row[Any]) -> TokenRecord:
    return TokenRecord(
        credential=_credential(row),
        label=row.label,
        created_by=row.created_by,
        replaces=row.replaces,
    )


def _credential(row: Row[Any]) -> AgentCredential:
    return AgentCredential(
        id=row.id,
        organisation=row.organisation,
        agent=row.agent,
        digest=row.digest,
        created_us=row.created_us,
        revoked_us=row.revoked_us,
        tier=CallerTier(row.tier),
    )


def user_credential(row: Row[Any]) -> AgentCredential:
    """A user token as workers know it."""
    return AgentCredential(
        id=row.id,
        organisation=row.organisation,
        agent="",
        user=row.user,
        digest=row.digest,
        created_us=row.created_us,
        revoked_us=row.revoked_us,
    )

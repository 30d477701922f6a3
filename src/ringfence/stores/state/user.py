"""Users: their lasting ids, also of those whom no file names, and the tokens that prove them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from ringfence.domain.credential import AgentCredential
from ringfence.domain.error import UsageError
from ringfence.domain.identifier import Prefix
from ringfence.stores.state.database import Database
from ringfence.stores.state.schema import user_tokens, users
from ringfence.stores.state.token import user_credential


@dataclass(frozen=True, slots=True, kw_only=True)
class UserTokenRecord:
    """A user token with what people see of it; its `revoked_us` is when it expires or ended."""

    credential: AgentCredential
    label: str
    created_by: str


class UserRecords:
    """Users of all organisations; every method asks for one."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    def identify(
        self, organisation: str, name: str, *, now_us: int, make_id: Callable[[Prefix], str]
    ) -> str:
        """The lasting id of a user, made at first sight; a file that names them later keeps it."""
        mine = (users.c.organisation == organisation, users.c.name == name)
        with self._database.write() as connection:
            known: str | None = connection.execute(select(users.c.id).where(*mine)).scalar()
            if known is not None:
                return known
            row = {"organisation": organisation, "id": make_id("user"), "name": name}
            connection.execute(insert(users).values({**row, "created_us": now_us}))
        return row["id"]

    def names(self, organisation: str) -> Mapping[str, str]:
        """The name of every user that ever was, by id."""
        mine = users.c.organisation == organisation
        with self._database.read() as connection:
            rows = connection.execute(select(users.c.id, users.c.name).where(mine)).all()
        return {row.id: row.name for row in rows}

    def add_token(self, record: UserTokenRecord) -> None:
        """Keep a new token."""
        credential = record.credential
        row = {
            "organisation": credential.organisation,
            "id": credential.id,
            "user": credential.user,
            "digest": credential.digest,
            "label": record.label,
            "created_us": credential.created_us,
            "created_by": record.created_by,
            "revoked_us": credential.revoked_us,
        }
        with self._database.write() as connection:
            connection.execute(insert(user_tokens).values(row))

    def revoke_token(
        self, organisation: str, user: str, token: str, *, now_us: int
    ) -> AgentCredential:
        """End a token now, if it has not ended before. Raises UsageError `token_unknown`."""
        mine = (user_tokens.c.organisation == organisation, user_tokens.c.id == token)
        with self._database.write() as connection:
            living = user_tokens.c.revoked_us > now_us
            its = user_tokens.c.user == user
            connection.execute(
                update(user_tokens).where(*mine, its, living).values(revoked_us=now_us)
            )
            return _token(connection, organisation, user, token)

    def tokens(
        self, organisation: str, user: str, *, after: str = "", limit: int = 100
    ) -> tuple[UserTokenRecord, ...]:
        """A user's tokens in the order of their ids (which is that of their making)."""
        mine = (user_tokens.c.organisation == organisation, user_tokens.c.user == user)
        query = select(user_tokens).where(*mine, user_tokens.c.id > after)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(user_tokens.c.id).limit(limit)).all()
        return tuple(
            UserTokenRecord(
                credential=user_credential(row), label=row.label, created_by=row.created_by
            )
            for row in rows
        )


def _token(connection: Connection, organisation: str, user: str, token: str) -> AgentCredential:
    query = select(user_tokens).where(
        user_tokens.c.organisation == organisation,
        user_tokens.c.id == token,
        user_tokens.c.user == user,
    )
    row = connection.execute(query).first()
    if row is None:
        raise UsageError("token_unknown", f"this user has no token with id `{token}`")
    return user_credential(row)

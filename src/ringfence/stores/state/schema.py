"""The tables of the state store, and the steps that bring an older database up to date."""

from collections.abc import Callable, Sequence

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
    func,
    insert,
    inspect,
    select,
    text,
)

from ringfence.domain.error import UsageError

metadata = MetaData()

# INVARIANT (I7): every primary key and unique index begins with the organisation, except those on
# the digest of a credential, which is how its organisation is found. `epochs` and `schema_version`
# belong to the installation and hold nothing of any organisation.

organisations = Table(
    "organisations",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("created_us", BigInteger, nullable=False),
)


def _members(name: str) -> Table:
    """What an organisation has by name, each with a lasting id."""
    return Table(
        name,
        metadata,
        Column("organisation", String, nullable=False),
        Column("id", String, nullable=False),
        Column("name", String, nullable=False),
        Column("created_us", BigInteger, nullable=False),
        PrimaryKeyConstraint("organisation", "id"),
        UniqueConstraint("organisation", "name"),
    )


teams = _members("teams")

users = _members("users")

agents = Table(
    "agents",
    metadata,
    Column("organisation", String, nullable=False),
    Column("id", String, nullable=False),
    Column("name", String, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("state", String, nullable=False),  # as people set it
    Column("state_changed_us", BigInteger, nullable=False),
    Column("state_changed_by", String, nullable=False),
    Column("removed_us", BigInteger),  # set while the configuration does not name the agent
    PrimaryKeyConstraint("organisation", "id"),
    UniqueConstraint("organisation", "name"),
)

credentials = Table(
    "credentials",
    metadata,
    Column("organisation", String, nullable=False),
    Column("id", String, nullable=False),
    Column("agent", String, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("label", String, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("created_by", String, nullable=False),
    Column("revoked_us", BigInteger),
    Column("replaces", String),  # the credential that this one was rotated from
    Column("tier", String, nullable=False, server_default="api"),
    PrimaryKeyConstraint("organisation", "id"),
    ForeignKeyConstraint(["organisation", "agent"], ["agents.organisation", "agents.id"]),
    Index("credentials_digest", "digest", unique=True),
    Index("credentials_agent", "organisation", "agent", "id"),
)

user_tokens = Table(
    "user_tokens",
    metadata,
    Column("organisation", String, nullable=False),
    Column("id", String, nullable=False),
    Column("user", String, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("label", String, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("created_by", String, nullable=False),
    Column("revoked_us", BigInteger, nullable=False),  # when it expires, unless ended before
    PrimaryKeyConstraint("organisation", "id"),
    ForeignKeyConstraint(["organisation", "user"], ["users.organisation", "users.id"]),
    Index("user_tokens_digest", "digest", unique=True),
    Index("user_tokens_user", "organisation", "user", "id"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("organisation", String, nullable=False),
    Column("id", String, nullable=False),
    Column("user", String, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("label", String, nullable=False),
    Column("roles", String, nullable=False),  # sorted, separated by spaces
    Column("created_us", BigInteger, nullable=False),
    Column("created_by", String, nullable=False),
    Column("revoked_us", BigInteger),
    PrimaryKeyConstraint("organisation", "id"),
    ForeignKeyConstraint(["organisation", "user"], ["users.organisation", "users.id"]),
    Index("api_keys_digest", "digest", unique=True),
)

grants = Table(
    "grants",
    metadata,
    Column("organisation", String, nullable=False),
    Column("id", String, nullable=False),
    Column("scope", String, nullable=False),
    Column("holder", String, nullable=False),
    Column("per", String, nullable=False),
    Column("window_start_us", BigInteger, nullable=False),
    Column("amount_nano", BigInteger, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("created_by", String, nullable=False),
    Column("reason", String, nullable=False),
    PrimaryKeyConstraint("organisation", "id"),
    Index("grants_account", "organisation", "scope", "holder", "per", "window_start_us"),
)

approvals = Table(
    "approvals",
    metadata,
    Column("organisation", String, nullable=False),
    Column("id", String, nullable=False),
    Column("state", String, nullable=False),
    Column("agent", String, nullable=False),
    Column("root", String, nullable=False, server_default=""),  # empty if held by version 4
    Column("created_us", BigInteger, nullable=False),
    Column("document", LargeBinary, nullable=False),  # JSON of `domain.approval.Approval`
    PrimaryKeyConstraint("organisation", "id"),
    Index("approvals_state", "organisation", "state", "id"),
)

tool_sources = Table(
    "tool_sources",
    metadata,
    Column("organisation", String, nullable=False),
    Column("source", String, nullable=False),
    Column("seen_us", BigInteger, nullable=False),
    Column("document", LargeBinary, nullable=False),  # JSON of `domain.tool_source.ToolSource`
    PrimaryKeyConstraint("organisation", "source"),
)

tool_versions = Table(
    "tool_versions",
    metadata,
    Column("organisation", String, nullable=False),
    Column("source", String, nullable=False),
    Column("name", String, nullable=False),
    Column("pin", String, nullable=False),
    Column("raw", LargeBinary, nullable=False),  # the definition as it came
    Column("version", String, nullable=False),
    Column("first_us", BigInteger, nullable=False),
    Column("last_us", BigInteger, nullable=False),
    PrimaryKeyConstraint("organisation", "source", "name", "pin"),
)

stored_secrets = Table(
    "stored_secrets",
    metadata,
    Column("organisation", String, nullable=False),
    Column("space", String, nullable=False),  # which part of the plane stores it
    Column("name", String, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("key", String, nullable=False),  # the id of the key that `wrapped` is encrypted with
    Column("wrapped", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("meta", LargeBinary, nullable=False),  # JSON; authenticated, not secret
    Column("created_us", BigInteger, nullable=False),
    Column("changed_us", BigInteger, nullable=False),
    Column("changed_by", String, nullable=False),
    PrimaryKeyConstraint("organisation", "space", "name"),
)

epochs = Table(
    "epochs",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("configuration", String, nullable=False),
    Column("loaded_us", BigInteger, nullable=False),
    Column("actor", String, nullable=False),
)

schema_version = Table(
    "schema_version",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
)

Step = Callable[[Connection], None]


def _add_users(connection: Connection) -> None:
    """Version 2: tokens of users, and the caller tier of agent tokens."""
    user_tokens.create(connection)
    tier = "ALTER TABLE credentials ADD COLUMN tier VARCHAR DEFAULT 'api' NOT NULL"
    connection.execute(text(tier))


def _add_approvals(connection: Connection) -> None:
    """Version 3: calls that are held until a person has answered."""
    approvals.create(connection)


def _add_tools(connection: Connection) -> None:
    """Version 4: tools as their sources list them, and what of it is accepted."""
    tool_sources.create(connection)
    tool_versions.create(connection)


def _add_roots(connection: Connection) -> None:
    """Version 5: held calls are counted by the run at the root of theirs."""
    if "root" in {each["name"] for each in inspect(connection).get_columns(approvals.name)}:
        return  # made by the step before, which makes the table as it is now
    root = "ALTER TABLE approvals ADD COLUMN root VARCHAR DEFAULT '' NOT NULL"
    connection.execute(text(root))


def _add_secrets(connection: Connection) -> None:
    """Version 6: secrets, encrypted."""
    stored_secrets.create(connection)


STEPS: Sequence[Step] = (_add_users, _add_approvals, _add_tools, _add_roots, _add_secrets)
"""Step n brings version n + 1 to n + 2. A new database is made at the newest version at once."""


def migrate(connection: Connection, steps: Sequence[Step] = STEPS) -> None:
    """Create the tables, or bring them up to date, inside the caller's transaction.

    Raises UsageError `schema_newer` if a later release has already migrated this database.
    """
    newest = 1 + len(steps)
    if not inspect(connection).has_table(schema_version.name):
        metadata.create_all(connection)
        connection.execute(insert(schema_version).values(version=newest))
        return
    version = connection.execute(select(func.max(schema_version.c.version))).scalar_one()
    if version > newest:
        raise UsageError(
            "schema_newer",
            f"the state store has schema {version}, this release knows {newest}",
            help="run the release that wrote it, or a later one",
        )
    for number in range(version, newest):
        steps[number - 1](connection)
        connection.execute(insert(schema_version).values(version=number + 1))

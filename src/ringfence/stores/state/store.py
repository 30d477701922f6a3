"""The state store as one thing: open it once, close it once."""

from dataclasses import dataclass
from pathlib import Path

from ringfence.stores.state.agent import AgentRecords
from ringfence.stores.state.approval import ApprovalRecords
from ringfence.stores.state.configuration import ConfigurationRecords
from ringfence.stores.state.database import Database, open_sqlite
from ringfence.stores.state.grant import GrantRecords
from ringfence.stores.state.key import KeyRecords
from ringfence.stores.state.secret import SecretRecords
from ringfence.stores.state.token import TokenRecords
from ringfence.stores.state.tool import ToolRecords
from ringfence.stores.state.user import UserRecords


@dataclass(frozen=True, slots=True, kw_only=True)
class StateStore:
    """All control state. Methods block; they are safe to call from several threads."""

    database: Database
    configurations: ConfigurationRecords
    agents: AgentRecords
    tokens: TokenRecords
    keys: KeyRecords
    grants: GrantRecords
    users: UserRecords
    tools: ToolRecords
    approvals: ApprovalRecords
    secrets: SecretRecords

    def close(self) -> None:
        """Close every connection."""
        self.database.close()


def open_state(folder: Path) -> StateStore:
    """Open or create the embedded store in the data folder.

    Raises UsageError `data_folder_open`, `data_folder_unusable` or `schema_newer`.
    """
    return state_on(open_sqlite(folder))


def state_on(database: Database) -> StateStore:
    """All records on one database."""
    return StateStore(
        database=database,
        configurations=ConfigurationRecords(database),
        agents=AgentRecords(database),
        tokens=TokenRecords(database),
        keys=KeyRecords(database),
        grants=GrantRecords(database),
        users=UserRecords(database),
        tools=ToolRecords(database),
        approvals=ApprovalRecords(database),
        secrets=SecretRecords(database),
    )

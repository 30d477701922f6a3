"""Agent states: what people decided about an agent, beside what the file says of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select, update

from ringfence.decisions.agent import AgentChange, advance
from ringfence.domain.agent import AgentState
from ringfence.domain.error import UsageError
from ringfence.stores.state.database import Database
from ringfence.stores.state.schema import agents


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRecord:
    """An agent as the store knows it, also when no file names it any more.

    `changed_by` is the actor of the last change (`user:<id>`, `cli:uid=<n>`, `plane`).
    """

    id: str
    name: str
    state: AgentState
    created_us: int
    changed_us: int
    changed_by: str


class AgentRecords:
    """Agents of all organisations; every method asks for one."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    def list(self, organisation: str) -> tuple[AgentRecord, ...]:
        """Every agent that ever was, by name."""
        mine = agents.c.organisation == organisation
        with self._database.read() as connection:
            rows = connection.execute(select(agents).where(mine)).all()
        # Sorted here: a database of its own language would have an order of its own.
        return tuple(sorted((_read(row) for row in rows), key=lambda record: record.name))

    def states(self, organisation: str) -> Mapping[str, AgentState]:
        """The state of every agent, by id."""
        return {record.id: record.state for record in self.list(organisation)}

    def named(self, organisation: str, name: str) -> AgentRecord:
        """One agent by name. Raises UsageError `agent_unknown`."""
        query = select(agents).where(agents.c.organisation == organisation, agents.c.name == name)
        with self._database.read() as connection:
            row = connection.execute(query).first()
        if row is None:
            raise UsageError(
                "agent_unknown",
                f"no agent named `{name}`",
                help="`ringfence agent list` shows them",
            )
        return _read(row)

    def change(
        self, organisation: str, name: str, change: AgentChange, *, now_us: int, actor: str
    ) -> AgentRecord:
        """Suspend, resume or retire. What already is so stays as it was, with its first actor.

        Raises UsageError `agent_unknown` or `agent_state` (a retired agent does not come back).
        """
        mine = (agents.c.organisation == organisation, agents.c.name == name)
        with self._database.write() as connection:
            row = connection.execute(select(agents).where(*mine)).first()
            if row is None:
                raise UsageError("agent_unknown", f"no agent named `{name}`")
            before = _read(row)
            after = advance(before.state, change)
            if after is None:
                raise UsageError(
                    "agent_state",
                    f"agent `{name}` is {before.state}, so it cannot {change}",
                    help=_REMEDY if row.removed_us is None else _REMEDY_REMOVED,
                )
            if AgentState(row.state) is after:
                return before
            values = {
                "state": after.value,
                "state_changed_us": now_us,
                "state_changed_by": actor,
            }
            changed = connection.execute(
                update(agents).where(*mine).values(values).returning(agents)
            ).one()
        return _read(changed)


_REMEDY = "retiring is final; register it under another name"
_REMEDY_REMOVED = "the configuration does not name it; add it and reload"


def _read(row: Row[Any]) -> AgentRecord:
    """A removal is the file's own decision; it ends with the removal, not with a person's word."""
    is_removed = row.removed_us is not None and row.state != AgentState.RETIRED
    return AgentRecord(
        id=row.id,
        name=row.name,
        state=AgentState.RETIRED if is_removed else AgentState(row.state),
        created_us=row.created_us,
        changed_us=row.removed_us if is_removed else row.state_changed_us,
        changed_by="plane" if is_removed else row.state_changed_by,
    )

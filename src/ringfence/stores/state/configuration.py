"""How a configuration gets its ids and its epoch."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Table, func, insert, null, select, update

from ringfence.domain.agent import AgentState
from ringfence.domain.identifier import Prefix
from ringfence.domain.organisation import Configuration, Organisation
from ringfence.stores.state.database import Database
from ringfence.stores.state.schema import agents, epochs, organisations, teams, users


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """Who loads a configuration, when, and where fresh ids come from."""

    now_us: int
    actor: str
    make_id: Callable[[Prefix], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One numbered loading of a configuration."""

    number: int
    configuration: str
    loaded_us: int
    actor: str


class ConfigurationRecords:
    """Ids by name, and the history of epochs."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    def register(self, configuration: Configuration, registration: Registration) -> Configuration:
        """Give every organisation, team, user and agent its lasting id, and take an epoch.

        The epoch grows only if the digest changed. An agent that the file no longer names is
        retired; if it comes back, so do its id and the state that people gave it before.
        """
        with self._database.write() as connection:
            known = {row.name: row.id for row in connection.execute(select(organisations))}
            registered = {
                name: _register(connection, organisation, known.get(name), registration)
                for name, organisation in configuration.organisations.items()
            }
            for name in known.keys() - registered.keys():
                _remove_agents(connection, known[name], (), registration)
            epoch = _take_epoch(connection, configuration.digest, registration)
        return replace(configuration, organisations=registered, epoch=epoch)

    def known(self, configuration: Configuration) -> Configuration:
        """Fill in the ids and the epoch that are known, and write nothing.

        What the store has never seen keeps an empty id.
        """
        with self._database.read() as connection:
            ids = {row.name: row.id for row in connection.execute(select(organisations))}
            known = {
                name: _named(
                    replace(organisation, id=ids.get(name, "")),
                    *(
                        _ids(connection, table, ids.get(name, ""))
                        for table in (teams, users, agents)
                    ),
                )
                for name, organisation in configuration.organisations.items()
            }
        epoch = self.epoch()
        number = epoch.number if epoch is not None else 0
        return replace(configuration, organisations=known, epoch=number)

    def epoch(self) -> Epoch | None:
        """The epoch in force; None before the first configuration."""
        with self._database.read() as connection:
            row = connection.execute(select(epochs).order_by(epochs.c.number.desc())).first()
        if row is None:
            return None
        return Epoch(
            number=row.number,
            configuration=row.configuration,
            loaded_us=row.loaded_us,
            actor=row.actor,
        )


def _register(
    connection: Connection,
    organisation: Organisation,
    known_id: str | None,
    registration: Registration,
) -> Organisation:
    organisation_id = known_id
    if organisation_id is None:
        organisation_id = registration.make_id("org")
        row = {
            "id": organisation_id,
            "name": organisation.name,
            "created_us": registration.now_us,
        }
        connection.execute(insert(organisations).values(row))
    row = {"organisation": organisation_id, "created_us": registration.now_us}
    fresh_agent = row | {
        "state": AgentState.ACTIVE.value,
        "state_changed_us": registration.now_us,
        "state_changed_by": registration.actor,
    }
    make_id = registration.make_id
    team_ids = _identify(connection, teams, row, organisation.teams, lambda: make_id("team"))
    user_ids = _identify(connection, users, row, organisation.users, lambda: make_id("user"))
    agent_ids = _identify(
        connection, agents, fresh_agent, organisation.agents, lambda: make_id("agt")
    )
    _remove_agents(connection, organisation_id, organisation.agents, registration)
    return _named(replace(organisation, id=organisation_id), team_ids, user_ids, agent_ids)


def _named(
    organisation: Organisation,
    team_ids: Mapping[str, str],
    user_ids: Mapping[str, str],
    agent_ids: Mapping[str, str],
) -> Organisation:
    """Give everything in an organisation its id, by name."""
    return replace(
        organisation,
        teams={n: replace(team, id=team_ids.get(n, "")) for n, team in organisation.teams.items()},
        users={n: replace(user, id=user_ids.get(n, "")) for n, user in organisation.users.items()},
        agents={
            n: replace(agent, id=agent_ids.get(n, "")) for n, agent in organisation.agents.items()
        },
    )


def _ids(connection: Connection, table: Table, organisation: str) -> dict[str, str]:
    """The known ids by name within one organisation."""
    mine = table.c.organisation == organisation
    found = connection.execute(select(table.c.name, table.c.id).where(mine))
    return {row.name: row.id for row in found}


def _identify(
    connection: Connection,
    table: Table,
    row: Mapping[str, Any],
    names: Iterable[str],
    make_id: Callable[[], str],
) -> dict[str, str]:
    """Ids by name within one organisation; `row` is what a new name is written with."""
    ids = _ids(connection, table, row["organisation"])
    missing = [name for name in names if name not in ids]
    for name in missing:
        ids[name] = make_id()
        connection.execute(insert(table).values({**row, "name": name, "id": ids[name]}))
    return ids


def _remove_agents(
    connection: Connection,
    organisation: str,
    kept: Iterable[str],
    registration: Registration,
) -> None:
    mine = agents.c.organisation == organisation
    is_named = agents.c.name.in_(list(kept))
    connection.execute(
        update(agents)
        .where(mine, ~is_named, agents.c.removed_us.is_(None))
        .values(removed_us=registration.now_us)
    )
    connection.execute(
        update(agents)
        .where(mine, is_named, agents.c.removed_us.is_not(None))
        .values(removed_us=null())
    )


def _take_epoch(connection: Connection, digest: str, registration: Registration) -> int:
    newest = select(func.max(epochs.c.number)).scalar_subquery()
    row = connection.execute(select(epochs).where(epochs.c.number == newest)).first()
    if row is not None and row.configuration == digest:
        return int(row.number)
    number = 1 if row is None else int(row.number) + 1
    values = {
        "number": number,
        "configuration": digest,
        "loaded_us": registration.now_us,
        "actor": registration.actor,
    }
    connection.execute(insert(epochs).values(values))
    return number

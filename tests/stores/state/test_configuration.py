from dataclasses import replace
from pathlib import Path

import pytest

from ringfence.decisions.agent import AgentChange
from ringfence.domain.agent import Agent, AgentState, Category
from ringfence.domain.identifier import Prefix
from ringfence.domain.organisation import Configuration, Organisation, Role, Team, User
from ringfence.stores.state.configuration import Registration
from ringfence.stores.state.store import StateStore, open_state
from ringfence.testing.ids import SequentialIds

IDS = SequentialIds()


def registration(now_us: int = 1000) -> Registration:
    return Registration(now_us=now_us, actor="plane", make_id=IDS.make)


def agent(name: str) -> Agent:
    return Agent(
        name=name,
        owner="owner@acme.example",
        team="support",
        category=Category.BOUNDED,
        purpose="Test.",
    )


def organisation(name: str, *agents: str) -> Organisation:
    return Organisation(
        name=name,
        teams={"support": Team(name="support")},
        users={
            "owner@acme.example": User(name="owner@acme.example", roles=frozenset({Role.ADMIN}))
        },
        agents={each: agent(each) for each in agents},
    )


def configuration(digest: str, *organisations: Organisation) -> Configuration:
    return Configuration(organisations={each.name: each for each in organisations}, digest=digest)


def test_everything_named_gets_an_id_with_its_prefix(state: StateStore) -> None:
    loaded = state.configurations.register(
        configuration("sha256:1", organisation("acme", "triage")), registration()
    )
    acme = loaded.organisations["acme"]
    assert acme.id.startswith("org_")
    assert acme.teams["support"].id.startswith("team_")
    assert acme.users["owner@acme.example"].id.startswith("user_")
    assert acme.agents["triage"].id.startswith("agt_")
    assert acme.agents["triage"].purpose == "Test."


def test_ids_outlive_reload_and_restart(tmp_path: Path) -> None:
    first_file = configuration("sha256:1", organisation("acme", "triage"))
    second_file = configuration("sha256:2", organisation("acme", "triage", "writer"))
    store = open_state(tmp_path)
    first = store.configurations.register(first_file, registration())
    store.close()
    store = open_state(tmp_path)
    second = store.configurations.register(second_file, registration())
    store.close()
    was, now = first.organisations["acme"], second.organisations["acme"]
    assert now.id == was.id
    assert now.teams == was.teams
    assert now.users == was.users
    assert now.agents["triage"] == was.agents["triage"]
    assert now.agents["writer"].id not in {"", was.agents["triage"].id}


def test_the_same_names_in_two_organisations_are_different_things(state: StateStore) -> None:
    loaded = state.configurations.register(
        configuration("sha256:1", organisation("acme", "triage"), organisation("bolt", "triage")),
        registration(),
    )
    acme, bolt = loaded.organisations["acme"], loaded.organisations["bolt"]
    assert acme.id != bolt.id
    assert acme.agents["triage"].id != bolt.agents["triage"].id
    assert [each.id for each in state.agents.list(acme.id)] == [acme.agents["triage"].id]


def test_the_epoch_grows_only_with_the_digest(state: StateStore) -> None:
    assert state.configurations.epoch() is None
    same = configuration("sha256:1", organisation("acme"))
    files = [same, same, replace(same, digest="sha256:2"), same]
    loaded = [state.configurations.register(file, registration()).epoch for file in files]
    assert loaded == [1, 1, 2, 3]
    newest = state.configurations.epoch()
    assert newest is not None
    assert (newest.number, newest.configuration, newest.actor) == (3, "sha256:1", "plane")


def test_an_agent_gone_from_the_file_is_retired_and_comes_back_active(state: StateStore) -> None:
    both = configuration("sha256:1", organisation("acme", "triage", "writer"))
    acme = state.configurations.register(both, registration(1)).organisations["acme"]
    one = configuration("sha256:2", organisation("acme", "triage"))
    state.configurations.register(one, registration(2))
    gone = state.agents.named(acme.id, "writer")
    assert (gone.state, gone.changed_us, gone.changed_by) == (AgentState.RETIRED, 2, "plane")
    assert state.agents.named(acme.id, "triage").state is AgentState.ACTIVE
    again = state.configurations.register(both, registration(3)).organisations["acme"]
    assert again.agents["writer"].id == acme.agents["writer"].id
    assert state.agents.named(acme.id, "writer").state is AgentState.ACTIVE


def test_a_suspension_outlives_removal_and_return(state: StateStore) -> None:
    both = configuration("sha256:1", organisation("acme", "triage"))
    acme = state.configurations.register(both, registration()).organisations["acme"]
    state.agents.change(acme.id, "triage", AgentChange.SUSPEND, now_us=5, actor="user:user_1")
    state.configurations.register(configuration("sha256:2", organisation("acme")), registration())
    assert state.agents.named(acme.id, "triage").state is AgentState.RETIRED
    state.configurations.register(both, registration())
    back = state.agents.named(acme.id, "triage")
    assert (back.state, back.changed_by) == (AgentState.SUSPENDED, "user:user_1")


def test_what_a_person_retired_stays_retired_when_the_file_names_it(state: StateStore) -> None:
    file = configuration("sha256:1", organisation("acme", "triage"))
    acme = state.configurations.register(file, registration()).organisations["acme"]
    state.agents.change(acme.id, "triage", AgentChange.RETIRE, now_us=5, actor="user:user_1")
    state.configurations.register(configuration("sha256:2", organisation("acme")), registration())
    state.configurations.register(file, registration())
    assert state.agents.named(acme.id, "triage").state is AgentState.RETIRED


def test_agents_of_an_organisation_whose_file_is_gone_are_retired(state: StateStore) -> None:
    both = configuration("sha256:1", organisation("acme", "triage"), organisation("bolt", "triage"))
    loaded = state.configurations.register(both, registration())
    state.configurations.register(
        configuration("sha256:2", organisation("acme", "triage")), registration()
    )
    acme, bolt = loaded.organisations["acme"], loaded.organisations["bolt"]
    assert state.agents.named(acme.id, "triage").state is AgentState.ACTIVE
    assert state.agents.named(bolt.id, "triage").state is AgentState.RETIRED


def test_a_registration_that_fails_halfway_leaves_nothing(state: StateStore) -> None:
    remaining = ["team_1", "org_1"]

    def run_out(_: Prefix) -> str:
        return remaining.pop()

    with pytest.raises(IndexError):
        state.configurations.register(
            configuration("sha256:1", organisation("acme", "triage")),
            Registration(now_us=1, actor="plane", make_id=run_out),
        )
    assert state.agents.list("org_1") == ()
    assert state.configurations.epoch() is None

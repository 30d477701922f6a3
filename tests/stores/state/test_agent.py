import pytest

from ringfence.decisions.agent import AgentChange
from ringfence.domain.agent import AgentState
from ringfence.domain.error import UsageError
from ringfence.domain.organisation import Configuration, Organisation
from ringfence.stores.state.configuration import Registration
from ringfence.stores.state.store import StateStore
from ringfence.testing.ids import SequentialIds


def change(state: StateStore, organisation: str, what: AgentChange, actor: str = "user:1") -> str:
    return state.agents.change(organisation, "triage", what, now_us=9, actor=actor).state


def test_an_agent_is_suspended_resumed_and_retired(state: StateStore, acme: Organisation) -> None:
    assert change(state, acme.id, AgentChange.SUSPEND) == AgentState.SUSPENDED
    assert change(state, acme.id, AgentChange.RESUME) == AgentState.ACTIVE
    assert change(state, acme.id, AgentChange.RETIRE) == AgentState.RETIRED
    assert state.agents.states(acme.id) == {acme.agents["triage"].id: AgentState.RETIRED}


def test_a_retired_agent_does_not_come_back(state: StateStore, acme: Organisation) -> None:
    change(state, acme.id, AgentChange.RETIRE)
    with pytest.raises(UsageError, match="is retired") as caught:
        change(state, acme.id, AgentChange.RESUME)
    assert caught.value.code == "agent_state"
    assert "another name" in caught.value.help


def test_an_agent_that_the_file_dropped_cannot_be_resumed(
    state: StateStore, acme: Organisation
) -> None:
    empty = Configuration(organisations={"acme": Organisation(name="acme")}, digest="sha256:2")
    registration = Registration(now_us=2, actor="plane", make_id=SequentialIds().make)
    state.configurations.register(empty, registration)
    with pytest.raises(UsageError) as caught:
        change(state, acme.id, AgentChange.RESUME)
    assert "reload" in caught.value.help


def test_suspending_twice_keeps_the_first_actor(state: StateStore, acme: Organisation) -> None:
    change(state, acme.id, AgentChange.SUSPEND, actor="user:first")
    change(state, acme.id, AgentChange.SUSPEND, actor="user:second")
    assert state.agents.named(acme.id, "triage").changed_by == "user:first"


def test_an_agent_of_another_organisation_does_not_exist(
    state: StateStore, acme: Organisation
) -> None:
    assert acme.id != "org_other"
    with pytest.raises(UsageError, match="no agent named `triage`"):
        state.agents.named("org_other", "triage")
    with pytest.raises(UsageError, match="no agent named `triage`"):
        change(state, "org_other", AgentChange.SUSPEND)
    assert state.agents.named(acme.id, "triage").state is AgentState.ACTIVE

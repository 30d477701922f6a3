from pathlib import Path

from ringfence.decisions.agent import AgentChange
from ringfence.domain.agent import AgentState
from ringfence.domain.organisation import Organisation
from ringfence.stores.state.store import StateStore, open_state


def test_two_processes_share_one_store(
    state: StateStore, acme: Organisation, tmp_path: Path
) -> None:
    other = open_state(tmp_path / "data")
    other.agents.change(acme.id, "triage", AgentChange.SUSPEND, now_us=1, actor="cli:uid=0")
    assert state.agents.named(acme.id, "triage").state is AgentState.SUSPENDED
    other.close()

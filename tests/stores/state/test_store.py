from collections.abc import Callable

from ringfence.decisions.agent import AgentChange
from ringfence.domain.agent import AgentState
from ringfence.domain.organisation import Organisation
from ringfence.stores.state.store import StateStore


def test_two_processes_share_one_store(
    opening: Callable[[], StateStore], acme: Organisation
) -> None:
    one, other = opening(), opening()
    other.agents.change(acme.id, "triage", AgentChange.SUSPEND, now_us=1, actor="cli:uid=0")
    assert one.agents.named(acme.id, "triage").state is AgentState.SUSPENDED

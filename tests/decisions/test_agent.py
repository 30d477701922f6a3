import pytest

from ringfence.decisions.agent import AgentChange, advance
from ringfence.domain.agent import AgentState


@pytest.mark.parametrize("state", AgentState)
@pytest.mark.parametrize("change", AgentChange)
def test_retiring_is_final_and_everything_else_reversible(
    state: AgentState, change: AgentChange
) -> None:
    wanted = {
        AgentChange.SUSPEND: AgentState.SUSPENDED,
        AgentChange.RESUME: AgentState.ACTIVE,
        AgentChange.RETIRE: AgentState.RETIRED,
    }[change]
    is_undoing = state is AgentState.RETIRED and wanted is not AgentState.RETIRED
    assert advance(state, change) == (None if is_undoing else wanted)

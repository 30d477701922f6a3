"""The life of an agent, as people change it."""

from enum import StrEnum

from ringfence.domain.agent import AgentState


class AgentChange(StrEnum):
    """What a person may do to an agent's state."""

    SUSPEND = "suspend"
    RESUME = "resume"
    RETIRE = "retire"


# Retiring is final: an agent that is wanted again gets a new name, so that its record stays whole.
_TRANSITIONS = {
    (AgentState.ACTIVE, AgentChange.SUSPEND): AgentState.SUSPENDED,
    (AgentState.ACTIVE, AgentChange.RESUME): AgentState.ACTIVE,
    (AgentState.ACTIVE, AgentChange.RETIRE): AgentState.RETIRED,
    (AgentState.SUSPENDED, AgentChange.SUSPEND): AgentState.SUSPENDED,
    (AgentState.SUSPENDED, AgentChange.RESUME): AgentState.ACTIVE,
    (AgentState.SUSPENDED, AgentChange.RETIRE): AgentState.RETIRED,
    (AgentState.RETIRED, AgentChange.RETIRE): AgentState.RETIRED,
}


def advance(state: AgentState, change: AgentChange) -> AgentState | None:
    """The state after a change, or None if an agent in this state cannot change so."""
    return _TRANSITIONS.get((state, change))

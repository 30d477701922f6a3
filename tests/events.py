"""What every event of an agent begins with, for the builders of tests."""

from ringfence.domain.event import FORMAT
from ringfence.enforcement.record import Heading


def heading(
    organisation: str, time_us: int, agent: str = "agt_1", *, name: str = "triage"
) -> Heading:
    """An agent that acts for itself."""
    return {
        "format": FORMAT,
        "organisation": organisation,
        "time_us": str(time_us),
        "epoch": 1,
        "configuration": "sha256:1",
        "policy": "",
        "agent": agent,
        "agent_name": name,
        "agent_version": "1",
        "credential": "crd_1",
        "chain": [agent],
        "tier": "api",
    }

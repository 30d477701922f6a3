"""What every event of an agent begins with, for the builders of tests."""

from typing import TypedDict

from ringfence.domain.event import FORMAT


class Heading(TypedDict):
    """Who acts, for whom, and under which configuration."""

    format: int
    organisation: str
    time_us: str
    epoch: int
    configuration: str
    agent: str
    agent_name: str
    agent_version: str
    credential: str
    chain: list[str]
    tier: str


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
        "agent": agent,
        "agent_name": name,
        "agent_version": "1",
        "credential": "crd_1",
        "chain": [agent],
        "tier": "api",
    }

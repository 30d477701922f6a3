from tests.gateways.world import agent, organisation

from ringfence.domain.caller import CallerTier
from ringfence.domain.organisation import Configuration
from ringfence.enforcement.directory import Caller, Directory
from ringfence.enforcement.record import heading
from ringfence.enforcement.runtime import AgentRuntime


def test_an_event_says_who_did_it_under_which_configuration() -> None:
    directory = Directory()
    caller = Caller(
        runtime=AgentRuntime(organisation(digest="sha256:1"), agent(version="7")),
        credential="crd_1",
        chain=("agt_boss", "agt_triage"),
        tier=CallerTier.SUBAGENT,
    )
    before = heading(caller, directory, 5)
    assert (before["epoch"], before["configuration"]) == (0, "sha256:1")
    directory.configuration = Configuration(organisations={}, digest="sha256:all", epoch=3)
    assert heading(caller, directory, 2**60) == {
        "format": 1,
        "organisation": "org_acme",
        "time_us": str(2**60),
        "epoch": 3,
        "configuration": "sha256:1",
        "policy": "",
        "agent": "agt_triage",
        "agent_name": "triage",
        "agent_version": "7",
        "credential": "crd_1",
        "chain": ["agt_boss", "agt_triage"],
        "tier": "subagent",
    }

from tests.enforcement.test_live import live
from tests.gateways.world import MemoryLedger

from ringfence.domain.event import FORMAT, Change
from ringfence.enforcement.directory import Directory
from ringfence.enforcement.finding import FindingLog
from ringfence.testing.clock import ManualClock


def findings() -> tuple[FindingLog, MemoryLedger]:
    ledger = MemoryLedger()
    return FindingLog(ledger=ledger, directory=Directory(), clock=ManualClock()), ledger


def test_a_finding_is_a_change_that_names_its_invocation() -> None:
    log, ledger = findings()
    log.found(live(live()), "loop", {"times": "3"})
    [event] = ledger.events
    assert isinstance(event, Change)
    assert (event.format, event.actor, event.what) == (FORMAT, "plane", "finding.loop")
    assert (event.invocation, event.root, event.subject) == ("inv_2", "inv_1", "inv_2")
    who = {"agent": live(live()).runtime.agent.id, "agent_name": live(live()).runtime.agent.name}
    assert event.detail == {"times": "3", **who}


def test_a_change_of_the_planes_own_names_what_was_changed() -> None:
    log, ledger = findings()
    log.changed("org_acme", "breaker.opened", "model:small", {"cause": "status 503"})
    [event] = ledger.events
    assert isinstance(event, Change)
    assert (event.organisation, event.subject, event.invocation) == ("org_acme", "model:small", "")

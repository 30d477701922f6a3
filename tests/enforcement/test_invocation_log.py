from tests.enforcement.test_live import live
from tests.gateways.world import MemoryLedger

from ringfence.domain.event import Change
from ringfence.domain.invocation import InvocationState
from ringfence.domain.verdict import Code, Reason
from ringfence.enforcement.directory import Directory
from ringfence.enforcement.invocation_log import InvocationLog
from ringfence.testing.clock import ManualClock


def written(ledger: MemoryLedger) -> Change:
    event = ledger.events[-1]
    assert isinstance(event, Change)
    return event


def test_an_opening_names_the_agent_and_keeps_its_task_apart() -> None:
    ledger, child = MemoryLedger(), live(live())
    log = InvocationLog(ledger=ledger, directory=Directory(), clock=ManualClock())
    log.opened(child, task="Triage ticket 812.")
    event = written(ledger)
    assert (event.what, event.actor, event.root) == (
        "invocation.opened",
        "agent:agt_triage",
        "inv_1",
    )
    assert "812" not in str(event)
    assert ledger.bodies == {"Change inv_2": b"Triage ticket 812."}
    assert child.is_recorded


def test_an_end_says_how_and_why_where_there_is_a_reason() -> None:
    ledger, root = MemoryLedger(), live()
    log = InvocationLog(ledger=ledger, directory=Directory(), clock=ManualClock())
    root.state = InvocationState.FINISHED
    log.ended(root)
    assert (written(ledger).what, written(ledger).detail) == ("invocation.finished", {})
    root.state = InvocationState.STOPPED
    root.stopped = Reason(code=Code.BUDGET_EXHAUSTED, message="The money is spent.")
    log.ended(root)
    assert written(ledger).what == "invocation.stopped"
    assert written(ledger).detail["cause"] == "budget_exhausted"

from dataclasses import replace

import pytest
from tests.gateways.world import agent, organisation

from ringfence.domain.agent import AgentState
from ringfence.domain.invocation import Grouping, Invocation, InvocationState
from ringfence.domain.verdict import Code, Reason
from ringfence.enforcement.live import LiveInvocation, state_reason
from ringfence.enforcement.runtime import AgentRuntime

STOP = Reason(code=Code.BUDGET_EXHAUSTED, message="The money is spent.")


def live(parent: LiveInvocation | None = None, deadline_us: int | None = None) -> LiveInvocation:
    plain = organisation()
    identity = Invocation(
        id="inv_2" if parent else "inv_1",
        organisation="org_acme",
        agent="agt_triage",
        root="inv_1",
        parent=parent.id if parent else None,
        depth=1 if parent else 0,
        credential="crd_1",
        opened_us=0,
        grouping=Grouping.TOKEN,
        deadline_us=deadline_us,
    )
    runtime = parent.runtime if parent else AgentRuntime(plain, agent())
    return LiveInvocation(identity, runtime, parent=parent)


def test_a_tree_counts_together_and_knows_its_chain() -> None:
    root = live()
    child = live(root)
    assert child.tree is root.tree
    assert root.children == [child]
    assert child.chain == ("agt_triage", "agt_triage")


def test_what_ends_above_ends_below() -> None:
    root = live(deadline_us=10)
    child = live(root)
    assert child.closed_reason(9) is None
    over = child.closed_reason(10)
    assert over is not None
    assert over.code is Code.LIMIT_REACHED
    root.state = InvocationState.FINISHED
    closed = child.closed_reason(0)
    assert closed is not None
    assert closed.code is Code.INVOCATION_CLOSED


def test_accounts_are_compiled_from_the_top_once_for_each_epoch() -> None:
    root = live()
    child = live(root)
    child.know_accounts(3)
    assert (root.demands_epoch, child.demands_epoch) == (3, 3)
    assert [name[0] for name in child.account_names] == ["agent", "organisation"]
    before = root.demands
    child.know_accounts(3)
    assert root.demands is before
    child.know_accounts(4)
    assert root.demands_epoch == 4


def test_a_stream_ends_for_state_for_the_run_and_for_money_in_that_order() -> None:
    running = live()
    assert running.stream_stop(100, 100) is None
    passed = running.stream_stop(101, 100)
    assert passed is not None
    assert passed.code is Code.BUDGET_EXHAUSTED
    running.state = InvocationState.STOPPED
    running.stopped = STOP
    assert running.stream_stop(0, 100) is STOP
    running.runtime.state = AgentState.SUSPENDED
    suspended = running.stream_stop(0, 100)
    assert suspended is not None
    assert suspended.code is Code.AGENT_SUSPENDED


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (AgentState.ACTIVE, None),
        (AgentState.SUSPENDED, Code.AGENT_SUSPENDED),
        (AgentState.RETIRED, Code.AGENT_RETIRED),
    ],
)
def test_only_an_active_agent_is_admitted(state: AgentState, code: Code | None) -> None:
    runtime = AgentRuntime(replace(organisation()), agent())
    runtime.state = state
    why = state_reason(runtime)
    assert (why.code if why else None) == code


@pytest.mark.parametrize("state", [AgentState.SUSPENDED, AgentState.RETIRED])
def test_an_agent_that_is_stopped_stops_what_it_started_of_other_agents(state: AgentState) -> None:
    root = live()
    child = live(root)
    child.runtime = AgentRuntime(organisation(), agent("helper"))
    assert (child.closed_reason(0), child.barred_reason(), child.stream_stop(0, 1)) == (None,) * 3
    root.runtime.state = state
    for why in (child.closed_reason(0), child.barred_reason(), child.stream_stop(0, 1)):
        assert why is not None
        assert why.code in {Code.AGENT_SUSPENDED, Code.AGENT_RETIRED}
        assert "triage" in why.message
    assert state_reason(child.runtime) is None


def test_every_running_call_is_stopped_even_if_it_leaves_meanwhile() -> None:
    running = live()
    stopped = []

    class Call:
        def barred(self) -> Reason | None:
            return None

        def stop(self, why: Reason) -> None:
            stopped.append(why)
            running.running.discard(self)

        def check(self, now_us: int) -> None:
            """Never too long."""

    for _ in range(3):
        running.running.add(Call())
    running.end_calls(STOP)
    assert stopped == [STOP] * 3
    assert not running.running

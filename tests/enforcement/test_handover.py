import asyncio
import logging
from pathlib import Path

import pytest
from tests.approvals import desk
from tests.decisions.test_topic import RULES
from tests.gateways.world import World, agent, chat, organisation

from ringfence.domain.error import UnavailableError
from ringfence.enforcement.approval import Approvals, Asking, Held
from ringfence.stores.state.approval import ApprovalRecords
from ringfence.stores.state.database import open_sqlite
from ringfence.testing.clock import ManualClock
from ringfence.testing.ids import SequentialIds


class Away:
    """A store of held calls that does not answer."""

    async def hold(self, asking: Asking) -> Held:
        raise UnavailableError("store_unavailable", f"away, with {asking.agent_name}")

    async def wait(self, organisation: str, approval: str, timeout_s: float) -> None:
        del organisation, approval, timeout_s

    async def find(self, organisation: str, approval: str) -> None:
        del organisation, approval

    async def consume(self, approval: str, binding: object, action: str) -> None:
        del approval, binding, action


def test_a_person_sees_whose_task_it_is_and_whom_it_escalates_to(tmp_path: Path) -> None:
    async def story() -> None:
        clock = ManualClock()
        records = ApprovalRecords(open_sqlite(tmp_path))
        tasked = agent(topics=RULES, escalate_to="oncall@acme.example")
        approvals: Approvals = desk(clock, SequentialIds(), kept=records)
        world = World(organisation(agents={"triage": tasked}), clock=clock, approvals=approvals)
        await world.ask(body=chat("Which dosage?"))
        await world.worker.handovers.settled()
        [held] = records.list(world.config.id)
        assert (held.binding.resource, held.agent_name) == ("ringfence__escalate", "triage")
        assert held.escalate_to == "oncall@acme.example"
        assert held.binding.invocation == world.ledger.refusals[0].invocation

    asyncio.run(story())


def test_what_cannot_be_handed_over_is_refused_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story() -> None:
        tasked = agent(topics=RULES)
        away: Approvals = Away()  # type: ignore[assignment] # it never gives anything
        world = World(organisation(agents={"triage": tasked}), approvals=away)
        assert (await world.ask(body=chat("Which dosage?"))).status == 403
        await world.worker.handovers.settled()

    with caplog.at_level(logging.ERROR):
        asyncio.run(story())
    assert "could not be handed over" in caplog.text

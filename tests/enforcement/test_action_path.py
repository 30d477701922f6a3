import asyncio

import pytest
from tests.enforcement.test_lack import LACKING, ScriptedSupplier
from tests.enforcement.workshop import Workshop, shop
from tests.gateways.world import code_of

from ringfence.domain.agent import Limits
from ringfence.domain.verdict import Code, Deny, Reason, Stop
from ringfence.enforcement.action_path import verdict
from ringfence.enforcement.refusal import RefusedAction
from ringfence.enforcement.tool_ticket import ToolTicket


def test_calls_of_every_door_share_one_run_and_its_end() -> None:
    async def story() -> None:
        workshop = Workshop(shop(limits=Limits(model_calls=1)))
        headers = {"ringfence-invocation": "run-1"}
        assert (await workshop.world.ask(headers=headers)).status == 200
        ticket = await workshop.go()
        [first] = {each.invocation for each in workshop.ledger.intents}
        assert ticket.live.id == first
        cause = Reason(code=Code.LIMIT_REACHED, message="Over.")
        workshop.world.worker.path.stop_invocation(ticket.live, cause)
        assert isinstance(workshop.begin(), RefusedAction)
        assert code_of(await workshop.world.ask(headers=headers)) == "limit_reached"

    asyncio.run(story())


def test_a_refusal_of_a_tool_is_recorded_in_its_run_with_what_was_asked() -> None:
    async def story() -> None:
        workshop = Workshop(shop(limits=Limits(tool_calls=0)))
        refused = workshop.begin("get_job", arguments={"id": 1})
        assert isinstance(refused, RefusedAction)
        [refusal] = workshop.ledger.refusals
        assert (refusal.action_kind, refusal.resource) == ("tool.call", "crm__get_job")
        assert refusal.invocation == refused.invocation != ""
        assert workshop.ledger.bodies[f"Refusal {refusal.action}"] == b'{"id":1}'
        assert workshop.ledger.changes == ["invocation.opened"]

    asyncio.run(story())


def test_who_may_wait_begins_once_what_was_lacking_is_supplied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story() -> None:
        supplier = ScriptedSupplier()
        workshop = Workshop(supplier=supplier)
        assert isinstance(await workshop.path.begun(workshop.knock()), ToolTicket)
        assert supplier.asked == []
        invocations = workshop.world.worker.invocations
        join, lacking = invocations.join_tool, iter([LACKING])
        monkeypatch.setattr(
            invocations, "join_tool", lambda *facts: next(lacking, None) or join(*facts)
        )
        assert isinstance(await workshop.path.begun(workshop.knock()), ToolTicket)
        assert supplier.asked == [LACKING]

    asyncio.run(story())


def test_what_stops_a_run_is_a_stop() -> None:
    stopped = Reason(code=Code.INVOCATION_STOPPED, message="Stopped.")
    assert isinstance(verdict(stopped), Stop)
    assert isinstance(verdict(Reason(code=Code.PRICE_UNKNOWN, message="No price.")), Deny)

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.approvals import desk, taken
from tests.decisions.test_approval import BINDING
from tests.gateways.world import World, agent, code_of, organisation

from ringfence.domain.approval import Approval, Vote
from ringfence.enforcement.approval import ApprovalDesk, Asking
from ringfence.stores.state.approval import ApprovalRecords
from ringfence.stores.state.database import open_sqlite
from ringfence.testing.clock import ManualClock
from ringfence.testing.ids import SequentialIds

PATH = "/ringfence/v1/approvals/"


class Here:
    """A worker with a desk for held calls."""

    def __init__(self, folder: Path) -> None:
        clock = ManualClock()
        records = ApprovalRecords(open_sqlite(folder))
        self.desk: ApprovalDesk = desk(clock, SequentialIds(), kept=records)
        config = organisation(agents={"triage": agent(), "spy": agent("spy")})
        self.world = World(config, clock=clock, approvals=self.desk)

    async def hold(self, agent_id: str = "agt_triage", chain: tuple[str, ...] = ()) -> Approval:
        binding = replace(
            BINDING, organisation=self.world.config.id, agent=agent_id, chain=chain or (agent_id,)
        )
        asking = Asking(binding=binding, agent_name="triage", reasons=("why",), seconds=600)
        return taken(await self.desk.hold(asking)).approval

    async def say(self, held: Approval, comment: str = "", *, yes: bool = True) -> None:
        now_us = self.world.clock.now_us()
        vote = Vote(user="user:ann", approves=yes, at_us=now_us, comment=comment)
        await self.desk.decide(held.binding.organisation, held.id, vote)

    async def look(self, held: Approval, query: str = "", **more: Any) -> dict[str, Any]:  # noqa: ANN401
        response = await self.world.ask(f"{PATH}{held.id}{query}", b"", method="GET", **more)
        assert response.status == 200, response.body
        found: dict[str, Any] = msgspec.json.decode(response.body)
        return found


def test_an_agent_sees_its_own_held_call_and_what_was_answered(tmp_path: Path) -> None:
    async def story() -> None:
        here = Here(tmp_path)
        held = await here.hold()
        found = await here.look(held)
        assert (found["state"], found["is_open"], found["comments"]) == ("pending", True, [])
        assert (found["resource"], found["reasons"]) == ("crm__refund", ["why"])
        await here.say(held, "use the other account", yes=False)
        found = await here.look(held)
        assert (found["state"], found["is_open"]) == ("denied", False)
        assert found["comments"] == ["use the other account"]

    asyncio.run(story())


def test_waiting_ends_with_the_decision(tmp_path: Path) -> None:
    async def story() -> None:
        here = Here(tmp_path)
        held = await here.hold()
        looking = asyncio.create_task(here.look(held, "?wait=60"))
        await asyncio.sleep(0.05)
        assert not looking.done()
        await here.say(held)
        async with asyncio.timeout(60):
            assert (await looking)["state"] == "approved"

    asyncio.run(story())


def test_the_held_call_of_another_agent_does_not_exist(tmp_path: Path) -> None:
    async def story() -> None:
        here = Here(tmp_path)
        other = await here.hold("agt_spy")
        for path in (f"{PATH}{other.id}", f"{PATH}apr_none", f"{PATH}%00", PATH):
            response = await here.world.ask(path, b"", method="GET")
            assert (response.status, code_of(response)) == (404, "not_found")
        [told] = {refusal.decision.message for refusal in here.world.ledger.refusals}
        assert "no held call" in told

    asyncio.run(story())


@pytest.mark.parametrize("chain", [("usr_ann", "agt_triage"), ("agt_root", "agt_triage")])
def test_what_is_held_for_another_user_or_chain_does_not_exist(
    tmp_path: Path, chain: tuple[str, ...]
) -> None:
    async def story() -> None:
        here = Here(tmp_path)
        held = await here.hold(chain=chain)
        response = await here.world.ask(f"{PATH}{held.id}", b"", method="GET")
        assert (response.status, code_of(response)) == (404, "not_found")

    asyncio.run(story())


def test_nobody_answers_a_held_call_here(tmp_path: Path) -> None:
    async def story() -> None:
        here = Here(tmp_path)
        held = await here.hold()
        response = await here.world.ask(f"{PATH}{held.id}", {"approve": True})
        assert (response.status, code_of(response)) == (405, "method_not_allowed")
        assert (await here.look(held))["state"] == "pending"

    asyncio.run(story())


def test_without_a_desk_there_are_no_held_calls() -> None:
    async def story() -> None:
        response = await World().ask(f"{PATH}apr_1", b"", method="GET")
        assert (response.status, code_of(response)) == (404, "not_found")

    asyncio.run(story())

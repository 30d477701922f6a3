import asyncio
from pathlib import Path

import msgspec
from tests.approvals import desk
from tests.decisions.test_topic import RULES
from tests.gateways.world import World, agent, chat, code_of, error_of, message, organisation

from ringfence.stores.state.approval import ApprovalRecords
from ringfence.stores.state.database import open_sqlite
from ringfence.testing.clock import ManualClock
from ringfence.testing.ids import SequentialIds


class Here:
    """A worker whose agent has a domain, and the place where its tasks are handed over."""

    def __init__(self, folder: Path) -> None:
        clock = ManualClock()
        self.records = ApprovalRecords(open_sqlite(folder))
        self.world = World(
            organisation(agents={"triage": agent(topics=RULES), "spy": agent("spy")}),
            clock=clock,
            approvals=desk(clock, SequentialIds(), kept=self.records),
        )

    async def handed_over(self) -> list[dict[str, str]]:
        """What people are shown, once it has been put before them."""
        await self.world.worker.handovers.settled()
        held = self.records.list(self.world.config.id)
        return [msgspec.json.decode(each.binding.arguments) for each in held]


def test_a_task_of_a_refused_topic_is_refused_and_handed_over_once(tmp_path: Path) -> None:
    async def story() -> None:
        here = Here(tmp_path)
        for _ in range(2):
            refused = await here.world.ask(body=chat("Which dosage is right for me?"))
            assert (refused.status, code_of(refused)) == (403, "off_topic")
            assert error_of(refused)["ringfence"]["topic"] == "medicine"
        [shown] = await here.handed_over()
        assert shown["said"] == "Which dosage is right for me?"
        assert here.world.ledger.intents == []
        assert here.world.ledger.refusals[0].decision.code == "off_topic"

    asyncio.run(story())


def test_what_the_agent_is_there_for_passes_and_so_do_results_of_tools(tmp_path: Path) -> None:
    async def story() -> None:
        here = Here(tmp_path)
        assert (await here.world.ask(body=chat("Where is my parcel?"))).status == 200
        result = {"type": "tool_result", "tool_use_id": "t", "content": "dosage"}
        talk = message(messages=[{"role": "user", "content": [result]}])
        assert (await here.world.ask("/v1/messages", talk)).status != 403
        assert await here.handed_over() == []

    asyncio.run(story())


def test_a_task_does_not_hide_behind_a_later_message(tmp_path: Path) -> None:
    async def story() -> None:
        here = Here(tmp_path)
        said = ["Which dosage?", "Where is my parcel?"]
        talk = chat(messages=[{"role": "user", "content": each} for each in said])
        assert code_of(await here.world.ask(body=talk)) == "off_topic"

    asyncio.run(story())


def test_a_message_that_can_be_read_in_two_ways_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        here = Here(tmp_path)
        twice = b'{"role":"user","content":"Where is my parcel?","content":"Which dosage?"}'
        body = b'{"model":"small","messages":[' + twice + b"]}"
        refused = await here.world.ask(body=body)
        assert (refused.status, code_of(refused)) == (400, "request_malformed")

    asyncio.run(story())


def test_a_reload_changes_the_domain_at_once(tmp_path: Path) -> None:
    async def story() -> None:
        here = Here(tmp_path)
        assert (await here.world.ask(body=chat("Which dosage?"))).status == 403
        await here.world.reload(organisation())
        assert (await here.world.ask(body=chat("Which dosage?"))).status == 200

    asyncio.run(story())

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.approvals import desk
from tests.gateways.tool.streaming import Client
from tests.gateways.tool.world import World, play, text_of
from tests.testing.tools.asking import SILENT

from ringfence.domain.approval import Approval, Vote
from ringfence.domain.event import Hold, Intent, Outcome
from ringfence.gateways.tool import held
from ringfence.stores.state.approval import ApprovalRecords
from ringfence.stores.state.database import open_sqlite
from ringfence.testing.ids import SequentialIds
from ringfence.transport.clock import SystemClock

QUESTION: dict[str, Any] = {
    "name": "ringfence__ask_user",
    "arguments": {"question": "Which account?"},
}
BUILT_IN = {"ringfence__ask_user", "ringfence__escalate", "ringfence__rest"}


class People:
    """Those who may be asked, on a real store."""

    def __init__(self, folder: Path) -> None:
        self.records = ApprovalRecords(open_sqlite(folder))
        self.desk = desk(SystemClock(), SequentialIds(), kept=self.records)

    async def held(self) -> Approval:
        async with asyncio.timeout(60):
            while not (found := self.records.open()):  # noqa: ASYNC110 (a store tells nobody)
                await asyncio.sleep(0.01)
        return found[0]

    async def say(self, comment: str = "", *, yes: bool = True) -> Approval:
        found = await self.held()
        vote = Vote(user="user:ann", approves=yes, at_us=SystemClock().now_us(), comment=comment)
        await self.desk.decide(found.binding.organisation, found.id, vote)
        return found


def test_they_stand_in_the_view_of_all_servers_and_not_among_a_servers_own(
    tmp_path: Path,
) -> None:
    async def scene(world: World) -> None:
        merged = await world.client("/mcp").modern("tools/list")
        names = {each["name"] for each in merged["result"]["tools"]}
        assert names >= BUILT_IN
        own = await world.client("/mcp/crm").modern("tools/list")
        assert not BUILT_IN & {each["name"] for each in own["result"]["tools"]}

    play(scene, approvals=People(tmp_path).desk)


@pytest.mark.parametrize("path", ["/mcp", "/mcp/crm"])
def test_a_question_is_put_before_a_person_and_the_answer_comes_back(
    tmp_path: Path, path: str
) -> None:
    people = People(tmp_path)

    async def scene(world: World) -> None:
        asking = asyncio.create_task(
            world.client(path).modern("tools/call", **QUESTION, meta=SILENT)
        )
        found = await people.say("the second one")
        assert found.reasons == ("Which account?",)
        assert found.binding.resource == "ringfence__ask_user"
        answer = await asking
        assert text_of(answer) == "the second one"
        [intent] = [each for each in world.ledger.events if isinstance(each, Intent)]
        assert intent.approval == found.id
        assert any(isinstance(each, Hold) for each in world.ledger.events)
        assert any(isinstance(each, Outcome) for each in world.ledger.events)

    play(scene, approvals=people.desk)


def test_a_question_that_a_person_will_not_answer_is_told_so(tmp_path: Path) -> None:
    people = People(tmp_path)

    async def scene(world: World) -> None:
        asking = asyncio.create_task(world.client().modern("tools/call", **QUESTION, meta=SILENT))
        await people.say("ask the customer", yes=False)
        answer = await asking
        assert answer["result"]["isError"] is True
        assert "ask the customer" in text_of(answer)

    play(scene, approvals=people.desk)


def test_an_escalation_stays_with_the_person_when_nobody_answers_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held, "WAIT_S", 0.0)
    monkeypatch.setattr(held, "LOOK_S", 0.05)
    people = People(tmp_path)

    async def scene(world: World) -> None:
        call: dict[str, Any] = {"name": "ringfence__escalate", "arguments": {"reason": "not mine"}}
        answer = await world.client().modern("tools/call", **call, meta=SILENT)
        assert answer["result"]["isError"] is True
        found = await people.held()
        assert found.id in text_of(answer)
        await people.say("I take it")
        again = await world.client().modern("tools/call", **call, meta=SILENT)
        assert text_of(again) == "I take it"

    play(scene, approvals=people.desk)


def test_a_legacy_client_asks_a_person_too(tmp_path: Path) -> None:
    people = People(tmp_path)

    async def scene(world: World) -> None:
        client = Client(world)
        await client.begin()
        async with client.open("tools/call", QUESTION) as (answer, stream):
            assert answer.status == 200
            await people.say("yes")
            while (said := await stream.next()) is not None:
                if "result" in said:
                    break
            assert said is not None
            assert text_of(said) == "yes"

    play(scene, approvals=people.desk)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("ringfence__ask_user", {}),
        ("ringfence__ask_user", {"question": ""}),
        ("ringfence__ask_user", {"question": "x", "other": 1}),
        ("ringfence__escalate", {"reason": 7}),
        ("ringfence__nothing", {}),
        ("ringfence__rest", {"result": "act_1", "offset": 0}),
    ],
)
def test_what_is_no_question_is_told_in_words(
    tmp_path: Path, name: str, arguments: dict[str, Any]
) -> None:
    async def scene(world: World) -> None:
        answer = await world.client().modern("tools/call", name=name, arguments=arguments)
        assert answer["result"]["isError"] is True
        assert text_of(answer)
        assert world.journal.calls == []

    play(scene, approvals=People(tmp_path).desk)


def test_where_nobody_can_be_asked_the_model_is_told() -> None:
    async def scene(world: World) -> None:
        answer = await world.client().modern("tools/call", **QUESTION, meta=SILENT)
        assert answer["result"]["isError"] is True
        assert "nobody can be asked" in text_of(answer)

    play(scene)

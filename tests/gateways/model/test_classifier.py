import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from tests.approvals import desk
from tests.decisions.test_topic import RULES, STRICT
from tests.gateways.world import (
    Sent,
    Upstream,
    World,
    agent,
    chat,
    chat_answer,
    code_of,
    error_of,
    organisation,
    whole,
)

from ringfence.domain.topic import TopicRules
from ringfence.gateways.model import classifier
from ringfence.stores.state.approval import ApprovalRecords
from ringfence.stores.state.database import open_sqlite
from ringfence.testing.clock import ManualClock
from ringfence.testing.ids import SequentialIds

UNCLEAR = "Soll ich zwei davon nehmen?"


class Here:
    """A worker with an agent whose topics a model judges if no rule fits."""

    def __init__(self, folder: Path, rules: TopicRules, said: str | None) -> None:
        clock = ManualClock()
        self.records = ApprovalRecords(open_sqlite(folder))
        rules = replace(rules, classifier="small")
        self.world = World(
            organisation(agents={"triage": agent(topics=rules)}),
            clock=clock,
            approvals=desk(clock, SequentialIds(), kept=self.records),
        )
        self.said = said
        self.questions: list[str] = []
        self.world.providers.answering = self.answer

    async def answer(self, sent: Sent) -> Upstream:
        asked = msgspec.json.decode(sent.body)
        if asked["messages"][0]["role"] != "system":
            return whole(chat_answer())
        self.questions.append(asked["messages"][1]["content"])
        if self.said is None:
            return whole({"error": {"message": "busy"}}, status=500)
        message = {"role": "assistant", "content": self.said}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        return whole(chat_answer(choices=choices))


def tell(story: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(story())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rules", "said", "code"),
    [
        (RULES, "1", "off_topic"),
        (RULES, " 2.\n", ""),
        (RULES, "0", ""),
        (STRICT, "0", "off_topic"),
        (STRICT, "2", ""),
    ],
)
def test_what_no_rule_fits_is_put_to_the_model(
    tmp_path: Path, rules: TopicRules, said: str, code: str
) -> None:
    async def story() -> None:
        here = Here(tmp_path, rules, said)
        for _ in range(2):  # the second time nothing is asked
            answer = await here.world.ask(body=chat(UNCLEAR))
            assert (code_of(answer) if answer.status != 200 else "") == code
        assert here.questions == [msgspec.json.encode({"message": UNCLEAR}).decode()]
        await here.world.worker.handovers.settled()
        assert len(here.records.list(here.world.config.id)) == bool(code)

    asyncio.run(story())


def test_the_question_is_a_call_on_record_in_the_same_run(tmp_path: Path) -> None:
    async def story() -> None:
        here = Here(tmp_path, RULES, "0")
        assert (await here.world.ask(body=chat(UNCLEAR))).status == 200
        first, second = here.world.ledger.intents
        assert (first.client, first.resource) == ("ringfence", "small")
        assert first.invocation == second.invocation
        assert [each.opens for each in (first, second)] == [True, False]
        assert len(here.world.ledger.outcomes) == 2
        assert all(int(each.cost_nano) > 0 for each in here.world.ledger.outcomes)

    asyncio.run(story())


@pytest.mark.parametrize("text", ["What dosage?", "Where is my parcel?"])
def test_where_a_rule_fits_nobody_is_asked(tmp_path: Path, text: str) -> None:
    async def story() -> None:
        here = Here(tmp_path, RULES, "0")
        await here.world.ask(body=chat(text))
        assert here.questions == []

    asyncio.run(story())


@pytest.mark.parametrize("said", [None, "", "3", "medicine", "1 or 2", "-1", "9999"])
def test_without_a_usable_answer_the_task_is_not_taken_and_asked_about_again(
    tmp_path: Path, said: str | None
) -> None:
    async def story() -> None:
        here = Here(tmp_path, RULES, said)
        refused = await here.world.ask(body=chat(UNCLEAR))
        assert (refused.status, code_of(refused)) == (403, "off_topic")
        assert error_of(refused)["ringfence"]["classifier"] == "small"
        await here.world.worker.handovers.settled()
        assert not here.records.list(here.world.config.id)
        here.said = "0"
        assert (await here.world.ask(body=chat(UNCLEAR))).status == 200

    asyncio.run(story())


def test_a_model_that_does_not_answer_in_time_judges_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier, "ASK_S", 0.05)

    async def story() -> None:
        here = Here(tmp_path, RULES, "0")

        async def never(_sent: Sent) -> Upstream:
            await asyncio.sleep(60)
            raise AssertionError

        here.world.providers.answering = never
        refused = await here.world.ask(body=chat(UNCLEAR))
        assert (refused.status, code_of(refused)) == (403, "off_topic")
        [outcome] = here.world.ledger.outcomes
        assert outcome.status != "ok"

    asyncio.run(story())


def test_a_message_of_any_length_is_shown_from_both_ends(tmp_path: Path) -> None:
    async def story() -> None:
        here = Here(tmp_path, RULES, "0")
        await here.world.ask(body=chat(f"first {'x ' * 20_000} last"))
        [question] = here.questions
        assert len(question) < 3 * classifier.READ_CHARACTERS
        assert "first" in question
        assert "last" in question

    asyncio.run(story())

"""Loops at work, in every dialect: hinted at, recorded once, stopped; polling that moves is not."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.gateways.world import (
    World,
    agent,
    always,
    chat_answer,
    code_of,
    gemini_answer,
    message_answer,
    organisation,
    response_answer,
    whole,
)
from tests.protocols.conversation import Call, Turn, body

from ringfence.decisions.retry import Retried
from ringfence.domain.agent import LoopLimits, Threshold
from ringfence.domain.event import Change
from ringfence.domain.model import Dialect
from ringfence.protocols.hint import MARK
from ringfence.testing.clock import ManualClock
from ringfence.testing.http import MemoryResponse

PATHS = {
    Dialect.CHAT: "/v1/chat/completions",
    Dialect.RESPONSES: "/v1/responses",
    Dialect.MESSAGES: "/v1/messages",
    Dialect.GEMINI: "/v1beta/models/flash:generateContent",
}
ANSWERS: dict[Dialect, Callable[[], object]] = {
    Dialect.CHAT: chat_answer,
    Dialect.RESPONSES: response_answer,
    Dialect.MESSAGES: message_answer,
    Dialect.GEMINI: gemini_answer,
}
DIALECTS = pytest.mark.parametrize("dialect", PATHS)
RUN = {"ringfence-invocation": "run-1"}


def world_of(dialect: Dialect, **loops: Any) -> World:  # noqa: ANN401 (fields of the limits)
    world = World(organisation(agents={"triage": agent(loops=LoopLimits(**loops))}))
    world.providers.answering = always(lambda: whole(ANSWERS[dialect]()))
    return world


async def play(world: World, dialect: Dialect, turns: list[Turn]) -> list[MemoryResponse]:
    """The requests of an agent that resends all of its conversation after every turn."""
    responses = []
    for end in range(1, len(turns) + 1):
        response = await world.ask(PATHS[dialect], body(dialect, turns[:end]), headers=RUN)
        responses.append(response)
        if response.status != 200:
            break
    return responses


def findings(world: World) -> list[Change]:
    changes = [each for each in world.ledger.events if isinstance(each, Change)]
    return [each for each in changes if each.what.startswith("finding.")]


def stuck(times: int) -> list[Turn]:
    same: Turn = [Call("search", {"q": "invoice 7"}, "no results")]
    return ["Find invoice 7.", *[same] * times]


@DIALECTS
def test_a_planted_loop_is_hinted_at_and_then_stopped(dialect: Dialect) -> None:
    async def story() -> None:
        world = world_of(dialect)
        responses = await play(world, dialect, stuck(20))
        # The person's question, seven rounds; the eighth equal round is not answered.
        assert [each.status for each in responses] == [200] * 8 + [402]
        assert code_of(responses[-1]) == "loop_detected"
        hinted = [sent.body.count(MARK.encode()) for sent in world.providers.sent]
        assert hinted == [0, 0, 0, 1, 1, 1, 1, 1]
        first, last = findings(world)
        assert (first.what, first.detail["times"], first.detail["tools"]) == (
            "finding.loop",
            "3",
            "search",
        )
        assert last.detail["stops"] == "true"
        assert "invocation.stopped" in world.ledger.changes
        # What was recorded is what the agent sent, and which obligation was met.
        intent = world.ledger.intents[3]
        assert MARK.encode() not in world.ledger.bodies[f"Intent {intent.action}"]
        hint = intent.decision.obligations[-1]
        assert hint.startswith("hint=same_calls (the same tool calls (`search`)")
        world.check_books()

    asyncio.run(story())


@DIALECTS
def test_a_stopped_run_stays_stopped(dialect: Dialect) -> None:
    async def story() -> None:
        world = world_of(dialect)
        await play(world, dialect, stuck(9))
        sent = len(world.providers.sent)
        again = await world.ask(PATHS[dialect], body(dialect, ["Something else."]), headers=RUN)
        assert (again.status, code_of(again)) == (402, "loop_detected")
        assert len(world.providers.sent) == sent

    asyncio.run(story())


@DIALECTS
def test_polling_a_job_with_changing_results_is_not_stopped(dialect: Dialect) -> None:
    async def story() -> None:
        world = world_of(dialect)
        polls: list[Turn] = [[Call("get_job", {"id": 7}, f"{done} % done")] for done in range(40)]
        responses = await play(world, dialect, ["Wait for job 7.", *polls])
        assert {each.status for each in responses} == {200}
        assert findings(world) == []
        assert not any(MARK.encode() in sent.body for sent in world.providers.sent)

    asyncio.run(story())


@DIALECTS
def test_a_loop_of_two_turns_in_parallel_calls_is_seen(dialect: Dialect) -> None:
    async def story() -> None:
        world = world_of(dialect, no_progress=None)
        one: Turn = [Call("open", {"page": 1}, "text"), Call("list", {}, "a")]
        two: Turn = [Call("close", {}, "ok")]
        responses = await play(world, dialect, ["Read it.", *[one, two] * 10])
        assert code_of(responses[-1]) == "loop_detected"
        assert len(responses) == 1 + 16
        assert findings(world)[0].detail["period"] == "2"

    asyncio.run(story())


def test_the_input_that_a_hint_adds_is_reserved_for() -> None:
    async def story() -> None:
        world = world_of(Dialect.CHAT)
        await play(world, Dialect.CHAT, stuck(3))
        plain, hinted = world.ledger.intents[-2:]
        added = len(world.providers.sent[-1].body) - len(world.providers.sent[-2].body)
        assert hinted.input_bound - plain.input_bound == added

    asyncio.run(story())


def test_a_model_that_heeds_the_hint_goes_on_and_the_next_loop_is_a_new_finding() -> None:
    async def story() -> None:
        world = world_of(Dialect.CHAT)
        other: Turn = [Call("ask_person", {}, "it is invoice 8")]
        again: Turn = [Call("search", {"q": "invoice 8"}, "timeout")]
        responses = await play(world, Dialect.CHAT, [*stuck(4), other, *[again] * 3])
        assert {each.status for each in responses} == {200}
        assert [each.detail["times"] for each in findings(world)] == ["3", "3"]
        hinted = [MARK.encode() in sent.body for sent in world.providers.sent]
        assert hinted == [False] * 3 + [True] * 2 + [False] * 3 + [True]

    asyncio.run(story())


def test_branches_of_one_conversation_in_turn_are_no_loop() -> None:
    """Five answers are tried from one beginning; each branch makes the same call once."""

    async def story() -> None:
        world = world_of(Dialect.CHAT)
        for branch in range(12):
            turns: list[Turn] = ["Go.", [Call("look", {}, "same")], f"Branch {branch}."]
            turns.append([Call("look", {}, "same")])
            for end in (2, 3, 4):
                raw = body(Dialect.CHAT, turns[:end])
                response = await world.ask(PATHS[Dialect.CHAT], raw, headers=RUN)
                assert response.status == 200
        assert findings(world) == []

    asyncio.run(story())


def test_a_conversation_that_was_made_shorter_is_read_again() -> None:
    async def story() -> None:
        world = world_of(Dialect.CHAT)
        await play(world, Dialect.CHAT, stuck(2))
        compacted: list[Turn] = ["Summary: nothing found.", *stuck(1)[1:]]
        response = await world.ask(PATHS[Dialect.CHAT], body(Dialect.CHAT, compacted), headers=RUN)
        assert response.status == 200
        assert findings(world) == []

    asyncio.run(story())


def test_a_patient_tool_is_polled_as_long_as_its_threshold_says() -> None:
    async def story() -> None:
        slow = ("get_*", Threshold(hint=12, stop=15))
        world = world_of(Dialect.CHAT, tools=(slow,), no_progress=None)
        polls: list[Turn] = [[Call("get_job", {"id": 7}, "running")]] * 20
        responses = await play(world, Dialect.CHAT, ["Wait.", *polls])
        assert len(responses) == 1 + 15
        assert findings(world)[0].detail["times"] == "12"

    asyncio.run(story())


def test_a_request_that_two_readers_could_read_differently_gets_no_hint_but_a_refusal() -> None:
    async def story() -> None:
        world = world_of(Dialect.CHAT)
        await play(world, Dialect.CHAT, stuck(2))
        raw = body(Dialect.CHAT, stuck(3))
        at = raw.rindex(b'{"role": "tool"')
        doubled = raw[:at] + b'{"content":"hidden",' + raw[at + 1 :]
        response = await world.ask(PATHS[Dialect.CHAT], doubled, headers=RUN)
        assert (response.status, code_of(response)) == (400, "request_malformed")
        world.check_books()

    asyncio.run(story())


def test_one_request_that_keeps_failing_is_slowed_down_and_then_ends_its_run() -> None:
    async def story() -> None:
        world = World()
        world.providers.answering = always(lambda: whole({"error": {"message": "bad"}}, 400))
        statuses, waited = [], 0
        response = MemoryResponse()
        for _ in range(60):
            response = await world.ask(headers=RUN)
            statuses.append(response.status)
            if response.status == 402:
                break
            wait_s = int(response.headers.get(b"retry-after", b"0"))
            waited += wait_s
            world.clock.advance(max(wait_s * 1_000_000, 1000))
        assert statuses[:6] == [400, 400, 400, 400, 429, 400]
        assert code_of(response) == "loop_detected"
        assert len(world.providers.sent) == 20
        assert waited > 300
        assert [each.what for each in findings(world)] == ["finding.retries"] * 2
        world.check_books()

    asyncio.run(story())


def two_workers() -> tuple[World, World]:
    """Each is told what the other has noticed; equal ids stand for one run that both know."""
    clock = ManualClock()
    first, second = World(clock=clock), World(clock=clock)
    for mine, other in ((first, second), (second, first)):

        def tell(noticed: object, other: World = other) -> None:
            if isinstance(noticed, Retried):
                other.worker.hear_retried(noticed)

        mine.worker.watch.tell = tell
        mine.providers.answering = always(lambda: whole({"error": {}}, 400))
    return first, second


def test_failures_at_providers_count_for_a_run_at_whatever_worker_they_happen() -> None:
    async def story() -> None:
        first, second = two_workers()
        # The run opens at each before anything of it is told.
        other = [("messages", [{"role": "user", "content": "another question"}])]
        for world in (first, second):
            body = json.dumps({"model": "small", "max_tokens": 5, **dict(other)})
            await world.ask(body=body.encode(), headers=RUN)
        statuses = []
        for number in range(5):
            first.clock.advance(1000)
            world = (first, second)[number % 2]
            statuses.append((await world.ask(headers=RUN)).status)
        assert statuses == [400, 400, 400, 400, 429]
        first.clock.advance(2_000_000)
        first.providers.answering = always(lambda: whole(chat_answer()))
        assert (await first.ask(headers=RUN)).status == 200
        first.clock.advance(1000)
        assert (await second.ask(headers=RUN)).status == 400  # forgotten there, too

    asyncio.run(story())


def test_a_success_and_another_request_make_a_new_beginning() -> None:
    async def story() -> None:
        world = World()
        for number in range(30):
            world.providers.answering = always(lambda: whole({"error": {}}, 400))
            for _ in range(3):
                assert (await world.ask(headers=RUN)).status == 400
                world.clock.advance(1000)
            world.providers.answering = always(lambda: whole(chat_answer()))
            text = msgspec.json.encode(
                {
                    "model": "small",
                    "max_tokens": 5,
                    "messages": [{"role": "user", "content": f"{number}"}],
                }
            )
            assert (await world.ask(body=text, headers=RUN)).status == 200

    asyncio.run(story())


def test_too_many_requests_at_the_provider_are_no_storm() -> None:
    async def story() -> None:
        world = World()
        world.providers.answering = always(lambda: whole({"error": {}}, 429))
        for _ in range(40):
            assert (await world.ask(headers=RUN)).status == 429
            world.clock.advance(1000)
        assert len(world.providers.sent) == 40

    asyncio.run(story())


RECORDED = Path(__file__).parent.parent / "transcripts" / "loops"
MEMBER = {
    Dialect.CHAT: "messages",
    Dialect.RESPONSES: "input",
    Dialect.MESSAGES: "messages",
    Dialect.GEMINI: "contents",
}


def recorded(run: str, dialect: Dialect) -> list[bytes]:
    """Every request of a recorded run: each ends with results, the first with the question."""
    whole_run = json.loads((RECORDED / f"{run}.{dialect.value}.json").read_text("utf-8"))
    name = MEMBER[dialect]
    turns = whole_run[name]
    ends = [at for at in range(1, len(turns) + 1) if _is_sent(turns, at)]
    return [json.dumps(whole_run | {name: turns[:end]}).encode() for end in ends]


def _is_sent(turns: list[dict[str, Any]], end: int) -> bool:
    """Whether the agent sent its conversation when it had come so far."""
    last = turns[end - 1]
    following = turns[end] if end < len(turns) else {}
    is_own = last.get("role") in ("assistant", "model") or last.get("type") == "function_call"
    goes_on = following.get("role") == "tool" or following.get("type") == "function_call_output"
    return not is_own and not goes_on and last.get("role") != "system"


async def replay(world: World, dialect: Dialect, run: str) -> list[MemoryResponse]:
    responses = []
    for raw in recorded(run, dialect):
        response = await world.ask(PATHS[dialect], raw, headers=RUN)
        responses.append(response)
        if response.status != 200:
            break
    return responses


@DIALECTS
@pytest.mark.parametrize(("run", "rounds"), [("stuck", 8), ("cycle", 16)])
def test_a_recorded_loop_is_stopped_within_its_threshold(
    dialect: Dialect, run: str, rounds: int
) -> None:
    async def story() -> None:
        world = world_of(dialect)
        responses = await replay(world, dialect, run)
        assert code_of(responses[-1]) == "loop_detected"
        assert len(responses) == 1 + rounds
        assert [each.what for each in findings(world)] == ["finding.loop", "finding.loop"]
        world.check_books()

    asyncio.run(story())


@DIALECTS
def test_a_recorded_poll_is_left_alone(dialect: Dialect) -> None:
    async def story() -> None:
        world = world_of(dialect)
        responses = await replay(world, dialect, "poll")
        assert [each.status for each in responses] == [200] * 25
        assert findings(world) == []

    asyncio.run(story())

"""Waiting for a place: bounded, fair, without money held, and decided anew afterwards."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from tests.enforcement.office import Office
from tests.gateways.world import (
    SECOND_US,
    Sent,
    Upstream,
    World,
    agent,
    always,
    chat,
    chat_answer,
    chat_stream,
    code_of,
    model,
    organisation,
    provider,
    turns,
    usd,
    whole,
)

from ringfence.domain.agent import Limits
from ringfence.domain.budget import Per
from ringfence.domain.model import Pace, ProviderProtocol
from ringfence.domain.organisation import Organisation
from ringfence.testing.http import MemoryResponse


class Gate:
    """A provider that answers each call when it is let."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Future[None]] = []
        self.most = 0
        self.going = 0

    async def answer(self, _sent: Sent) -> Upstream:
        self.going += 1
        self.most = max(self.most, self.going)
        let: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(let)
        try:
            await let
        finally:
            self.going -= 1
        return whole(chat_answer())

    async def let(self, count: int = 1) -> None:
        for _ in range(count):
            self.waiting.pop(0).set_result(None)
            await turns()


def paced(pace: Pace, share: float = 1.0, **more: Any) -> Organisation:  # noqa: ANN401 (fields of an organisation)
    plain = organisation(
        agents={name: agent(name) for name in ("triage", "other")},
    )
    house = replace(plain.providers["house"], pace=replace(pace, agent_share=share))
    return replace(plain, providers={**plain.providers, "house": house}, **more)


def begun(world: World, token: str, count: int) -> list[asyncio.Task[MemoryResponse]]:
    bodies = [chat(f"{token} {number}") for number in range(count)]
    return [asyncio.create_task(world.ask(body=each, token=token)) for each in bodies]


def test_no_more_calls_go_than_the_pace_allows_and_all_are_answered_in_the_end() -> None:
    async def story() -> None:
        world, gate = World(paced(Pace(concurrent=2))), Gate()
        world.providers.answering = gate.answer
        tasks = begun(world, "rf_agt_triage", 7)
        await turns()
        assert len(world.providers.sent) == 2
        # Who waits holds no money and has written nothing.
        assert len(world.ledger.intents) == 2
        await gate.let(7)
        assert [(await task).status for task in tasks] == [200] * 7
        assert gate.most == 2
        world.check_books()

    asyncio.run(story())


def test_two_agents_share_an_upstream_in_turns() -> None:
    async def story() -> None:
        world, gate = World(paced(Pace(concurrent=1))), Gate()
        world.providers.answering = gate.answer
        flood = begun(world, "rf_agt_triage", 20)
        await turns()
        quiet = begun(world, "rf_agt_other", 3)
        await turns()
        await gate.let(23)
        await asyncio.gather(*flood, *quiet)
        order = [each.agent_name for each in world.ledger.intents]
        assert order[:7] == ["triage", "other", "triage", "other", "triage", "other", "triage"]

    asyncio.run(story())


def test_slow_streams_of_one_agent_do_not_keep_all_places_from_another() -> None:
    async def story() -> None:
        world, gate = World(paced(Pace(concurrent=4), share=0.75)), Gate()
        world.providers.answering = gate.answer
        flood = begun(world, "rf_agt_triage", 10)
        await turns()
        quiet = begun(world, "rf_agt_other", 1)
        await turns()
        # Not one of the flood's calls has ended, and the other agent's goes at once.
        order = [each.agent_name for each in world.ledger.intents]
        assert order == ["triage", "triage", "triage", "other"]
        while not all(each.done() for each in (*flood, *quiet)):
            await gate.let()
        assert {(await each).status for each in (*flood, *quiet)} == {200}
        world.check_books()

    asyncio.run(story())


def test_who_shares_an_upstream_with_nobody_may_use_all_of_it() -> None:
    async def story() -> None:
        config = paced(Pace(concurrent=4), share=0.75)
        alone = replace(config, agents={"triage": config.agents["triage"]})
        world, gate = World(alone), Gate()
        world.providers.answering = gate.answer
        tasks = begun(world, "rf_agt_triage", 4)
        await turns()
        assert len(world.providers.sent) == 4
        await gate.let(4)
        await asyncio.gather(*tasks)

    asyncio.run(story())


def test_a_call_that_has_waited_keeps_its_place_while_it_asks_for_money() -> None:
    async def story() -> None:
        office, gate = Office(paced(Pace(concurrent=1)), 1), Gate()
        [world] = office.worlds
        world.providers.answering = gate.answer
        # Sub-limits are lent in slabs: now and then a call that has its place lacks one.
        tasks = begun(world, "rf_agt_triage", 30)
        while not all(each.done() for each in tasks):
            await turns()
            if gate.waiting:
                await gate.let()
        assert {(await each).status for each in tasks} == {200}
        assert gate.most == 1

    asyncio.run(story())


def test_a_call_that_cannot_be_paid_for_does_not_wait_to_be_told_so() -> None:
    async def story() -> None:
        plain = paced(Pace(concurrent=1, queue_seconds=0.02))
        poor = replace(plain.agents["other"], budgets=(usd(0.000001, Per.DAY),))
        world, gate = World(replace(plain, agents={**plain.agents, "other": poor})), Gate()
        world.providers.answering = gate.answer
        first = begun(world, "rf_agt_triage", 1)
        await turns()
        [refused] = await asyncio.gather(*begun(world, "rf_agt_other", 1))
        assert (refused.status, code_of(refused)) == (402, "budget_exhausted")
        await gate.let()
        assert (await first[0]).status == 200
        world.check_books()

    asyncio.run(story())


def test_a_wait_is_bounded_and_ends_in_a_throttle() -> None:
    async def story() -> None:
        world, gate = World(paced(Pace(concurrent=1, queue_seconds=0.02))), Gate()
        world.providers.answering = gate.answer
        [first, second] = begun(world, "rf_agt_triage", 2)
        refused = await second
        assert (refused.status, code_of(refused)) == (429, "rate_exceeded")
        assert b"retry-after" in refused.headers
        assert world.ledger.refusals[0].decision.verdict == "throttle"
        await gate.let()
        assert (await first).status == 200
        assert (await asyncio.gather(*begun(world, "rf_agt_other", 0))) == []
        world.check_books()

    asyncio.run(story())


def test_an_agent_with_too_many_waiting_calls_is_refused_at_once_and_another_is_not() -> None:
    async def story() -> None:
        world, gate = World(paced(Pace(concurrent=1, queued=1))), Gate()
        world.providers.answering = gate.answer
        first = begun(world, "rf_agt_triage", 3)
        other = begun(world, "rf_agt_other", 1)
        await turns()
        assert code_of(await first[2]) == "rate_exceeded"
        await gate.let(3)
        assert [(await each).status for each in (*first[:2], *other)] == [200, 200, 200]

    asyncio.run(story())


def test_after_the_wait_the_whole_decision_is_made_anew() -> None:
    async def story() -> None:
        world, gate = World(paced(Pace(concurrent=1))), Gate()
        world.providers.answering = gate.answer
        first = begun(world, "rf_agt_other", 1)
        await turns()
        second = begun(world, "rf_agt_triage", 1)
        await turns()
        await world.suspend()
        await gate.let()
        assert code_of(await second[0]) == "agent_suspended"
        assert (await first[0]).status == 200
        # Its place was given back.
        third = begun(world, "rf_agt_other", 1)
        await turns()
        await gate.let()
        assert (await third[0]).status == 200
        world.check_books()

    asyncio.run(story())


def test_a_call_whose_agent_left_in_the_queue_is_never_made() -> None:
    async def story() -> None:
        world, gate = World(paced(Pace(concurrent=1))), Gate()
        world.providers.answering = gate.answer
        first = begun(world, "rf_agt_triage", 1)
        await turns()
        response = MemoryResponse()
        waiting = asyncio.create_task(world.handle("/v1/chat/completions", chat("late"), response))
        await turns()
        response.leave()
        await gate.let()
        await asyncio.gather(*first, waiting)
        assert len(world.providers.sent) == 1
        world.check_books()

    asyncio.run(story())


def test_who_is_cancelled_in_the_queue_gives_its_place_up() -> None:
    async def story() -> None:
        world, gate = World(paced(Pace(concurrent=1))), Gate()
        world.providers.answering = gate.answer
        first, second, third = begun(world, "rf_agt_triage", 3)
        await turns()
        second.cancel()
        await gate.let(2)
        assert [(await each).status for each in (first, third)] == [200, 200]
        assert second.cancelled()
        lanes = world.worker.watch.pacing.lanes.known
        assert [(lane.going, lane.waiting) for lane in lanes.values()] == [(0, 0)]

    asyncio.run(story())


def test_a_place_is_held_until_a_stream_has_ended() -> None:
    async def story() -> None:
        world = World(paced(Pace(concurrent=1)))
        streams: list[Upstream] = []

        async def answer(_sent: Sent) -> Upstream:
            streams.append(Upstream(200, [], ending="hang"))
            return streams[-1]

        world.providers.answering = answer
        tasks = [
            asyncio.create_task(world.ask(body=chat(f"{number}", stream=True)))
            for number in range(2)
        ]
        await turns()
        assert len(streams) == 1
        for piece in chat_stream():
            streams[0].feed(piece)
        streams[0].end()
        await turns()
        assert len(streams) == 2
        for piece in chat_stream():
            streams[1].feed(piece)
        streams[1].end()
        assert [(await each).status for each in tasks] == [200, 200]

    asyncio.run(story())


def test_model_and_provider_are_paced_both() -> None:
    async def story() -> None:
        models = {
            "small": model("small", pace=Pace(concurrent=1)),
            "other": model("other"),
            "embed": model("embed"),
        }
        config = paced(Pace(concurrent=2), models=models)
        scope = replace(config.agents["triage"].scope, models=frozenset(models))
        agents = {name: replace(each, scope=scope) for name, each in config.agents.items()}
        world, gate = World(replace(config, agents=agents)), Gate()
        world.providers.answering = gate.answer
        small = begun(world, "rf_agt_triage", 3)
        other = [
            asyncio.create_task(world.ask(body=chat(f"o {n}", model="other"))) for n in range(3)
        ]
        await turns()
        assert sorted(each.json["model"] for each in world.providers.sent) == [
            "other-upstream",
            "small-upstream",
        ]
        await gate.let(6)
        assert [(await each).status for each in (*small, *other)] == [200] * 6
        assert gate.most == 2

    asyncio.run(story())


def test_an_upstream_that_says_retry_after_is_left_alone_for_so_long() -> None:
    async def story() -> None:
        world = World()
        answers = [whole({"error": {}}, 429, [(b"retry-after-ms", b"40")])]

        async def answer(_sent: Sent) -> Upstream:
            return answers.pop(0) if answers else whole(chat_answer())

        world.providers.answering = answer
        assert (await world.ask()).status == 429
        waiting = asyncio.create_task(world.ask(body=chat("second")))
        await turns()
        assert len(world.providers.sent) == 1
        # Another model of the same provider is not meant.
        assert (await world.ask("/v1/embeddings", {"model": "embed", "input": "x"})).status != 429
        world.clock.advance(40_000)
        assert (await waiting).status == 200
        assert world.worker.watch.is_idle

    asyncio.run(story())


def test_a_pause_longer_than_anybody_waits_is_told_at_once() -> None:
    async def story() -> None:
        world = World(paced(Pace(queue_seconds=0.01)))
        limited = [(b"retry-after", b"30")]
        world.providers.answering = always(lambda: whole({"error": {}}, 429, limited))
        await world.ask()
        refused = await world.ask(body=chat("second"))
        assert code_of(refused) == "rate_exceeded"
        assert int(refused.headers[b"retry-after"]) == 30
        assert len(world.providers.sent) == 1

    asyncio.run(story())


def test_a_reload_can_set_change_and_lift_a_pace() -> None:
    async def story() -> None:
        world, gate = World(paced(Pace(concurrent=1))), Gate()
        world.providers.answering = gate.answer
        tasks = begun(world, "rf_agt_triage", 4)
        await turns()
        assert len(world.providers.sent) == 1
        await world.reload(paced(Pace(concurrent=3)))
        await turns()
        assert len(world.providers.sent) == 3
        plain = organisation(agents={name: agent(name) for name in ("triage", "other")})
        await world.reload(plain)
        await turns()
        assert len(world.providers.sent) == 4
        await gate.let(4)
        assert [(await each).status for each in tasks] == [200] * 4
        assert world.worker.watch.is_idle

    asyncio.run(story())


def test_a_fallback_that_is_busy_is_passed_by() -> None:
    async def story() -> None:
        plain = paced(Pace())
        spare = provider("spare", ProviderProtocol.OPENAI, pace=Pace(concurrent=1))
        models = {
            "small": model("small", fallback=("other",)),
            "other": model("other", "spare"),
        }
        scope = replace(agent().scope, models=frozenset(models))
        config = replace(
            plain,
            providers={**plain.providers, "spare": spare},
            models=models,
            agents={"triage": agent(scope=scope, limits=Limits(default_output_tokens=100))},
        )
        world, gate = World(config), Gate()

        async def answer(sent: Sent) -> Upstream:
            if sent.origin.host == "house.example":
                return whole({"error": {"message": "down"}}, 503)
            return await gate.answer(sent)

        world.providers.answering = answer
        first = begun(world, "rf_agt_triage", 1)
        await turns()
        second = await world.ask(body=chat("second"))
        assert (second.status, code_of(second)) == (429, "rate_exceeded")
        await gate.let()
        assert (await first[0]).status == 200
        lanes = world.worker.watch.pacing.lanes.known
        assert {lane.going for lane in lanes.values()} == {0}
        world.check_books()

    asyncio.run(story())


@pytest.mark.parametrize("rate", [1, 3])
def test_a_minute_holds_no_more_calls_than_its_rate(rate: int) -> None:
    async def story() -> None:
        world = World(paced(Pace(requests_per_minute=rate, queue_seconds=0.01)))
        statuses = [(await world.ask(body=chat(f"q {n}"))).status for n in range(rate + 2)]
        assert statuses == [200] * rate + [429, 429]
        world.clock.advance(60 * SECOND_US)
        assert (await world.ask(body=chat("later"))).status == 200

    asyncio.run(story())

"""Breakers at work: what fails is left alone, a fallback is used, a probe brings it back."""

import asyncio
import json
from typing import Any

import pytest
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
    failing,
    model,
    organisation,
    turns,
    whole,
)

from ringfence.domain.agent import LoopLimits, Scope
from ringfence.domain.error import PeerError, UnavailableError, UnsentError
from ringfence.domain.event import Change
from ringfence.testing.http import MemoryResponse

FINE = always(lambda: whole(chat_answer()))
DOWN = always(lambda: whole({"error": {"message": "down"}}, 503))


def world_of(**models: Any) -> World:  # noqa: ANN401 (fields of models)
    known = {
        "small": model("small"),
        "other": model("other"),
        "claude": model("claude", "anthropic"),
    }
    scope = Scope(models=frozenset(known))
    loops = LoopLimits(retries=None)
    return World(
        organisation(
            models=known | {name: model(name, **more) for name, more in models.items()},
            agents={"triage": agent(scope=scope, loops=loops)},
        )
    )


def changes(world: World) -> list[tuple[str, str]]:
    found = [each for each in world.ledger.events if isinstance(each, Change)]
    return [(each.what, each.subject) for each in found if each.what.startswith("breaker.")]


async def ask_often(world: World, times: int, **more: Any) -> list[int]:  # noqa: ANN401 (a request)
    statuses = []
    for number in range(times):
        statuses.append((await world.ask(body=chat(f"question {number}", **more))).status)
        world.clock.advance(1000)
    return statuses


def test_a_model_that_fails_is_left_alone_and_its_agents_are_told_when_to_come_again() -> None:
    async def story() -> None:
        world = world_of()
        world.providers.answering = DOWN
        assert await ask_often(world, 5) == [503] * 5
        refused = await world.ask()
        assert (refused.status, code_of(refused)) == (503, "circuit_open")
        assert 1 <= int(refused.headers[b"retry-after"]) <= 5
        assert len(world.providers.sent) == 5
        assert changes(world) == [("breaker.opened", "model:small")]
        assert world.ledger.refusals[-1].decision.verdict == "throttle"
        world.check_books()

    asyncio.run(story())


def test_another_model_of_the_provider_goes_on() -> None:
    async def story() -> None:
        world = world_of()
        world.providers.answering = DOWN
        await ask_often(world, 6)
        world.providers.answering = FINE
        assert (await world.ask(body=chat(model="other"))).status == 200

    asyncio.run(story())


def test_a_provider_that_cannot_be_reached_is_left_alone_with_all_its_models() -> None:
    async def story() -> None:
        world = world_of()
        world.providers.answering = failing(UnsentError("provider_unavailable", "no route"))
        await ask_often(world, 5)
        refused = await world.ask(body=chat(model="other"))
        assert code_of(refused) == "circuit_open"
        assert changes(world) == [("breaker.opened", "provider:house")]

    asyncio.run(story())


def test_one_probe_goes_out_when_the_time_is_over_and_closes_it() -> None:
    async def story() -> None:
        world = world_of()
        world.providers.answering = DOWN
        await ask_often(world, 5)
        world.clock.advance(5 * SECOND_US)
        gate = asyncio.Event()

        async def slowly(_sent: Sent) -> Upstream:
            await gate.wait()
            return whole(chat_answer())

        world.providers.answering = slowly
        probe = asyncio.create_task(world.ask())
        await turns()
        assert code_of(await world.ask(body=chat("at the same time"))) == "circuit_open"
        gate.set()
        assert (await probe).status == 200
        assert changes(world) == [
            ("breaker.opened", "model:small"),
            ("breaker.closed", "model:small"),
        ]
        world.providers.answering = FINE
        assert (await world.ask()).status == 200
        assert world.worker.watch.is_idle

    asyncio.run(story())


def test_a_probe_that_fails_opens_it_for_longer() -> None:
    async def story() -> None:
        world = world_of()
        world.providers.answering = DOWN
        await ask_often(world, 5)
        world.clock.advance(5 * SECOND_US)
        assert await ask_often(world, 1) == [503]
        assert len(world.providers.sent) == 6
        world.clock.advance(5 * SECOND_US)
        assert code_of(await world.ask()) == "circuit_open"
        world.clock.advance(5 * SECOND_US)
        await ask_often(world, 1)
        assert len(world.providers.sent) == 7

    asyncio.run(story())


def test_a_probe_whose_agent_leaves_is_made_again() -> None:
    async def story() -> None:
        world = world_of()
        world.providers.answering = DOWN
        await ask_often(world, 5)
        world.clock.advance(5 * SECOND_US)

        async def never(_sent: Sent) -> Upstream:
            await asyncio.Event().wait()
            raise AssertionError

        world.providers.answering = never
        probe = asyncio.create_task(world.ask())
        await turns()
        probe.cancel()
        await asyncio.gather(probe, return_exceptions=True)
        world.providers.answering = FINE
        assert (await world.ask()).status == 200

    asyncio.run(story())


def test_failover_goes_past_an_open_breaker_without_asking_what_is_down() -> None:
    async def story() -> None:
        world = world_of(small={"fallback": ("other",)}, other={"provider": "spare"})
        asked = []

        async def answer(sent: Sent) -> Upstream:
            asked.append(sent.origin.host)
            is_down = sent.origin.host == "house.example"
            return whole({"error": {}}, 503) if is_down else whole(chat_answer())

        world.providers.answering = answer
        assert await ask_often(world, 8) == [200] * 8
        assert asked == ["house.example", "spare.example"] * 5 + ["spare.example"] * 3
        assert [each.provider for each in world.ledger.intents][-3:] == ["spare"] * 3
        world.check_books()

    asyncio.run(story())


@pytest.mark.parametrize(
    "error",
    [
        UnavailableError("provider_timeout", "nothing came"),
        PeerError("provider_malformed", "it broke off"),
    ],
)
def test_a_model_that_begins_answers_and_never_ends_them_is_left_alone_too(
    error: UnavailableError | PeerError,
) -> None:
    async def story() -> None:
        world = world_of()
        pieces = chat_stream()[:2]
        world.providers.answering = always(lambda: Upstream(200, pieces, ending=error))
        await ask_often(world, 5, stream=True)
        assert code_of(await world.ask()) == "circuit_open"
        world.check_books()

    asyncio.run(story())


def test_whole_answers_forget_failures() -> None:
    async def story() -> None:
        world = world_of()
        for _ in range(5):
            world.providers.answering = DOWN
            assert await ask_often(world, 4) == [503] * 4
            world.providers.answering = FINE
            assert await ask_often(world, 1) == [200]
        assert changes(world) == []
        assert world.worker.watch.is_idle

    asyncio.run(story())


def test_refusals_of_a_request_say_nothing_against_a_model() -> None:
    async def story() -> None:
        world = world_of()
        world.providers.answering = always(lambda: whole({"error": {}}, 400))
        assert await ask_often(world, 20) == [400] * 20
        assert world.worker.watch.is_idle

    asyncio.run(story())


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_credential_is_not_shown_again_and_the_agent_told_to_stop(status: int) -> None:
    async def story() -> None:
        world = world_of()
        world.providers.answering = always(lambda: whole({"error": {}}, status))
        responses: list[MemoryResponse] = []
        for number in range(10):
            responses.append(await world.ask(body=chat(f"question {number}")))
            world.clock.advance(1000)
        assert len(world.providers.sent) == 3
        assert {code_of(each) for each in responses} == {"provider_credential"}
        assert {each.headers[b"x-should-retry"] for each in responses} == {b"false"}
        said = json.loads(responses[-1].body)["error"]["message"]
        assert "Stop here" in said
        assert "owner@acme.example" in said
        whose = "house" if status == 401 else "house for small by triage"
        assert changes(world) == [("breaker.opened", f"credential:{whose}")]
        # Who runs Ringfence mends it and reloads: nothing is held against the new credential.
        await world.reload(world.config)
        world.providers.answering = FINE
        assert (await world.ask()).status == 200

    asyncio.run(story())


def forbidding(*models: str) -> Any:  # noqa: ANN401 (how a provider answers)
    """A provider that answers 403 for these models."""

    async def answer(sent: Sent) -> Upstream:
        asked = json.loads(sent.body)["model"].removesuffix("-upstream")
        return whole({"error": {}}, 403) if asked in models else whole(chat_answer())

    return answer


def world_of_three() -> World:
    models = {name: model(name) for name in ("small", "large", "other")}
    scope, loops = Scope(models=frozenset(models)), LoopLimits(retries=None)
    names = ("triage", "second", "third")
    return World(
        organisation(
            models=models,
            agents={name: agent(name, scope=scope, loops=loops) for name in names},
        )
    )


async def asked_by(world: World, name: str, of: str, times: int = 3) -> list[int]:
    statuses = []
    for number in range(times):
        body = chat(f"{name} {of} {number}", model=of)
        statuses.append((await world.ask(body=body, token=f"rf_agt_{name}")).status)
        world.clock.advance(1000)
    return statuses


def test_one_agent_that_asks_for_what_the_credential_may_not_use_closes_it_for_no_other() -> None:
    async def story() -> None:
        world = world_of_three()
        world.providers.answering = forbidding("large")
        for _ in range(3):
            await asked_by(world, "triage", "large")
        assert len(world.providers.sent) == 3
        refused = await world.ask(body=chat("again", model="large"))
        said = json.loads(refused.body)["error"]["message"]
        assert "Stop here" in said
        assert "another model" in said
        assert await asked_by(world, "triage", "small") == [200] * 3
        assert await asked_by(world, "second", "small") == [200] * 3
        assert changes(world) == [("breaker.opened", "credential:house for large by triage")]

    asyncio.run(story())


def test_a_model_that_is_forbidden_to_several_agents_is_closed_for_all_and_no_other_model() -> None:
    async def story() -> None:
        world = world_of_three()
        world.providers.answering = forbidding("large")
        for name in ("triage", "second", "third"):
            await asked_by(world, name, "large", 1)
        sent = len(world.providers.sent)
        await asked_by(world, "second", "large")
        assert len(world.providers.sent) == sent
        assert changes(world) == [("breaker.opened", "credential:house for large")]
        assert await asked_by(world, "third", "small") == [200] * 3

    asyncio.run(story())


def test_what_different_agents_meet_with_different_models_is_the_credentials() -> None:
    async def story() -> None:
        world = world_of_three()
        world.providers.answering = forbidding("small", "large", "other")
        await asked_by(world, "triage", "small", 1)
        await asked_by(world, "triage", "large", 1)
        assert changes(world) == []
        await asked_by(world, "second", "other", 1)
        assert changes(world) == [("breaker.opened", "credential:house")]
        sent = len(world.providers.sent)
        await asked_by(world, "third", "small")
        assert len(world.providers.sent) == sent

    asyncio.run(story())


def test_a_credential_that_is_accepted_in_between_is_not_accused_of_earlier_refusals() -> None:
    async def story() -> None:
        world = world_of_three()
        world.providers.answering = forbidding("large", "other")
        for _ in range(3):
            await asked_by(world, "triage", "large", 1)
            await asked_by(world, "second", "other", 1)
            assert await asked_by(world, "third", "small", 1) == [200]
        assert "credential:house" not in [subject for _, subject in changes(world)]

    asyncio.run(story())


def test_what_fails_for_one_organisation_is_open_for_no_other() -> None:
    async def story() -> None:
        world = world_of()
        world.providers.answering = DOWN
        await ask_often(world, 5)
        assert [each.name for each in world.worker.watch.breakers.standing("org_acme")] == ["small"]
        assert world.worker.watch.breakers.standing("org_other") == []

    asyncio.run(story())


def joined_worlds(count: int) -> list[World]:
    """Workers of which each is told what the others have noticed."""
    worlds = [world_of() for _ in range(count)]
    for world in worlds:

        def tell(noticed: object, mine: World = world) -> None:
            if isinstance(noticed, tuple):
                for other in worlds:
                    if other is not mine:
                        other.worker.watch.breakers.hear(*noticed)

        world.worker.watch.tell = tell
    return worlds


def test_a_breaker_that_opens_at_one_worker_opens_at_all_and_closes_at_all() -> None:
    async def story() -> None:
        first, second = joined_worlds(2)
        first.providers.answering = second.providers.answering = DOWN
        await ask_often(first, 5)
        assert code_of(await second.ask()) == "circuit_open"
        assert second.providers.sent == []
        assert changes(second) == [], "it is on the record once"
        first.clock.advance(6 * SECOND_US)
        first.providers.answering = second.providers.answering = FINE
        assert (await first.ask(body=chat("probe"))).status == 200
        assert second.worker.watch.breakers.known == {} or all(
            each.state == "closed" for each in second.worker.watch.breakers.known.values()
        )
        assert (await second.ask(body=chat("after"))).status == 200

    asyncio.run(story())


def test_who_has_a_probe_under_way_does_not_mind_what_others_tell() -> None:
    async def story() -> None:
        world = world_of()
        world.providers.answering = DOWN
        await ask_often(world, 5)
        [(key, opened)] = world.worker.watch.breakers.known.items()
        world.clock.advance(5 * SECOND_US)
        gate = asyncio.Event()

        async def slowly(_sent: Sent) -> Upstream:
            await gate.wait()
            return whole(chat_answer())

        world.providers.answering = slowly
        probe = asyncio.create_task(world.ask())
        await turns()
        world.worker.watch.breakers.hear(key, opened)
        gate.set()
        assert (await probe).status == 200
        assert world.worker.watch.is_idle

    asyncio.run(story())

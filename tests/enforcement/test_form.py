import asyncio
from dataclasses import replace

import msgspec
from tests.gateways.world import World, agent, organisation

from ringfence.domain.agent import Limits


def test_events_of_one_run_share_nothing_that_changes() -> None:
    async def story() -> None:
        world = World()
        for _ in range(3):
            assert (await world.ask()).status == 200
        intents, outcomes = world.ledger.intents, world.ledger.outcomes
        assert [each.step for each in intents] == [1, 2, 3]
        assert len({each.action for each in intents}) == 3
        assert [each.action for each in outcomes] == [each.action for each in intents]
        assert [each.opens for each in intents] == [True, False, False]

    asyncio.run(story())


def test_a_new_epoch_is_stated_from_its_first_event_on() -> None:
    async def story() -> None:
        world = World()
        await world.ask()
        await world.reload(organisation(agents={"triage": agent(version="2")}))
        await world.ask()
        assert [(each.epoch, each.agent_version) for each in world.ledger.intents] == [
            (1, "1"),
            (2, "2"),
        ]

    asyncio.run(story())


def test_callers_of_one_run_are_told_apart() -> None:
    async def story() -> None:
        limits = Limits(depth=1, sub_agents=1)
        world = World(organisation(agents={"triage": replace(agent(), limits=limits)}))
        path = "/ringfence/v1/invocations"
        root = msgspec.json.decode((await world.ask(path, {})).body)
        await world.ask(token=root["token"])
        await world.ask(headers={"ringfence-invocation": root["id"]})
        child = msgspec.json.decode((await world.ask(path, {}, token=root["token"])).body)
        await world.ask(token=child["token"])
        tiers = [(each.invocation, each.tier) for each in world.ledger.intents]
        assert tiers == [(root["id"], "api"), (root["id"], "api"), (child["id"], "subagent")]

    asyncio.run(story())

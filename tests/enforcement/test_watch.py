"""What is watched around a call costs nothing while there is nothing to watch."""

import asyncio

from tests.gateways.world import World, chat, organisation, provider

from ringfence.domain.model import Pace, ProviderProtocol
from ringfence.enforcement.watch import Watch


def test_healthy_traffic_leaves_no_trace() -> None:
    async def story() -> None:
        world = World()
        for number in range(20):
            assert (await world.ask(body=chat(f"{number}"))).status == 200
        watch: Watch = world.worker.watch
        assert watch.is_idle
        assert watch.breakers.known == {}
        assert watch.pacing.lanes == {}

    asyncio.run(story())


def test_an_upstream_with_a_pace_is_never_idle_to_the_watch() -> None:
    async def story() -> None:
        house = provider("house", ProviderProtocol.OPENAI, pace=Pace(concurrent=5))
        plain = organisation()
        world = World(organisation(providers={**plain.providers, "house": house}))
        assert not world.worker.watch.is_idle
        assert (await world.ask()).status == 200

    asyncio.run(story())

"""What is watched around a call costs nothing while there is nothing to watch."""

import asyncio

from tests.gateways.world import World, chat, organisation, provider

from ringfence.domain.model import Pace, ProviderProtocol, UpstreamKind, UpstreamStanding
from ringfence.enforcement.watch import Watch, joined


def test_healthy_traffic_leaves_no_trace() -> None:
    async def story() -> None:
        world = World()
        for number in range(20):
            assert (await world.ask(body=chat(f"{number}"))).status == 200
        watch: Watch = world.worker.watch
        assert watch.is_idle
        assert watch.breakers.known == {}
        assert watch.pacing.lanes.known == {}

    asyncio.run(story())


def test_an_upstream_with_a_pace_is_never_idle_to_the_watch() -> None:
    async def story() -> None:
        house = provider("house", ProviderProtocol.OPENAI, pace=Pace(concurrent=5))
        plain = organisation()
        world = World(organisation(providers={**plain.providers, "house": house}))
        assert not world.worker.watch.is_idle
        assert (await world.ask()).status == 200

    asyncio.run(story())


def test_what_several_workers_say_is_joined_to_the_worst_and_the_sum() -> None:
    fine = UpstreamStanding(kind=UpstreamKind.MODEL, name="small", going=2, waiting=1)
    bad = UpstreamStanding(kind=UpstreamKind.MODEL, name="small", state="open", failures=5, going=1)
    other = UpstreamStanding(kind=UpstreamKind.PROVIDER, name="small")
    small, provider_ = joined([[fine, other], [bad]])
    assert (small.state, small.failures, small.going, small.waiting) == ("open", 5, 3, 1)
    assert provider_ == other


def test_a_paced_upstream_shows_its_calls() -> None:
    async def story() -> None:
        house = provider("house", ProviderProtocol.OPENAI, pace=Pace(concurrent=5))
        plain = organisation()
        world = World(organisation(providers={**plain.providers, "house": house}))
        [standing] = await world.worker.upstreams("org_acme")
        assert (standing.kind, standing.name, standing.going) == ("provider", "house", 0)
        assert await world.worker.upstreams("org_other") == []

    asyncio.run(story())

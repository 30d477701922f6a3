import asyncio

import pytest
from tests.gateways.tool.world import World, play

from ringfence.testing.tools.plan import Plan


def listings(world: World) -> int:
    return sum(each["method"] == "tools/list" for each in world.journal.requests)


def test_while_a_list_holds_its_server_is_not_asked_again() -> None:
    async def scene(world: World) -> None:
        client = world.client()
        first = (await client.modern("tools/list"))["result"]
        await asyncio.sleep(0.01)
        second = (await client.modern("tools/list"))["result"]
        assert listings(world) == 1
        assert second["tools"] == first["tools"]
        assert first["ttlMs"] > second["ttlMs"] > 50_000  # what is left of it
        world.worker.tooling.links.changed("org_acme", "crm")
        assert (await client.modern("tools/list"))["result"]["tools"] == first["tools"]
        assert listings(world) == 2

    play(scene, Plan(name="crm", eras="modern", ttl_ms=60_000))


@pytest.mark.parametrize("plan", [Plan(name="crm"), Plan(name="crm", eras="legacy", ttl_ms=60_000)])
def test_a_server_whose_list_does_not_hold_is_asked_for_each(plan: Plan) -> None:
    async def scene(world: World) -> None:
        client = world.client()
        for _ in range(3):
            await client.modern("tools/list")
        assert listings(world) == 3

    play(scene, plan)


def test_a_change_is_seen_when_the_list_no_longer_holds() -> None:
    async def scene(world: World) -> None:
        client = world.client()
        before = (await client.modern("tools/list"))["result"]["tools"]
        assert "echo" in [each["name"] for each in before]
        await client.modern("tools/call", name="add", arguments={"a": 1, "b": 2})
        await asyncio.sleep(0.06)
        after = (await client.modern("tools/list"))["result"]["tools"]
        assert "echo" not in [each["name"] for each in after]  # it has changed, and is held

    play(scene, Plan(name="crm", eras="modern", ttl_ms=50, rug_pull_after=1))

import asyncio

import pytest
from tests.gateways.tool.streaming import Client
from tests.gateways.tool.world import Json, World, play

from ringfence.testing.tools.plan import Plan

SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"
WANTED = {"notifications": {"toolsListChanged": True, "resourceSubscriptions": ["test://note"]}}


@pytest.mark.parametrize("eras", ["legacy", "modern"])
def test_a_modern_client_hears_what_it_wants_of_servers_of_both_eras(eras: str) -> None:
    async def scene(world: World) -> None:
        client = Client(world)
        async with client.open("subscriptions/listen", WANTED) as (_, stream):
            first = await stream.next()
            assert first is not None
            assert first["method"] == "notifications/subscriptions/acknowledged"
            assert first["params"]["notifications"] == WANTED["notifications"]
            for name, given in (
                ("touch", {"uri": "test://other"}),
                ("touch", {"uri": "test://note"}),
                ("change_tools", {}),
            ):
                await client.ask("tools/call", {"name": name, "arguments": given})
            told = [await stream.next(), await stream.next()]
        methods = [each["method"] for each in told if each is not None]
        assert methods == ["notifications/resources/updated", "notifications/tools/list_changed"]
        assert all(each["params"]["_meta"][SUBSCRIPTION] == "m-5" for each in told if each)

    play(scene, Plan(name="crm", eras=eras))


@pytest.mark.parametrize("eras", ["legacy", "modern"])
def test_a_legacy_client_hears_on_its_standing_stream(eras: str) -> None:
    async def scene(world: World) -> None:
        client = Client(world)
        await client.begin()
        [done] = await client.ask("resources/subscribe", {"uri": "test://note"})
        assert done["result"] == {}
        async with client.open("", verb=b"GET") as (answer, stream):
            assert answer.status == 200
            await client.ask("tools/call", {"name": "touch", "arguments": {"uri": "test://x"}})
            await client.ask("tools/call", {"name": "touch", "arguments": {"uri": "test://note"}})
            told = await stream.next()
        assert told is not None
        assert told["method"] == "notifications/resources/updated"
        assert told["params"]["uri"] == "test://note"

    play(scene, Plan(name="crm", eras=eras))


def test_a_change_of_tools_is_seen_at_the_next_list() -> None:
    async def scene(world: World) -> None:
        client = Client(world)
        await client.begin()
        async with client.open("", verb=b"GET") as (_, stream):
            names = await _names(client)
            await client.ask("tools/call", {"name": "change_tools"})
            told = await stream.next()
        assert told is not None
        assert told["method"] == "notifications/tools/list_changed"
        # What is new is held until somebody has accepted it.
        assert await _names(client) == names
        held = await client.ask("tools/call", {"name": "extra"})
        assert held[0]["result"]["structuredContent"]["code"] == "tool_changed"

    play(scene)


def test_the_merged_view_hears_all_servers() -> None:
    async def scene(world: World) -> None:
        client = Client(world, "/mcp")
        async with client.open("subscriptions/listen", WANTED) as (_, stream):
            await stream.next()
            for name in ("crm__touch", "files__touch_f"):
                given = {"name": name, "arguments": {"uri": "test://note"}}
                await client.ask("tools/call", given)
                assert await stream.next() is not None

    play(scene, Plan(name="crm"), Plan(name="files", eras="legacy", suffix="_f"))


def test_when_the_plane_stops_streams_end_and_calls_go_on() -> None:
    async def scene(world: World) -> None:
        client = Client(world)
        await client.begin()
        slow = {"name": "slow", "arguments": {"seconds": 0.3}}
        going = asyncio.create_task(client.ask("tools/call", slow))
        async with client.open("", verb=b"GET") as (_, stream):
            await world.turns(lambda: world.journal.calls)
            world.worker.tooling.door.drain()
            assert await stream.next() is None
        [answer] = await going
        assert answer["result"]["content"][0]["text"] == "done"

    play(scene)


async def _names(client: Client) -> list[str]:
    listed: Json = (await client.ask("tools/list"))[-1]
    return [tool["name"] for tool in listed["result"]["tools"]]

from tests.gateways.tool.world import World, play, text_of

from ringfence.testing.tools.plan import Plan


def test_a_call_of_a_server_that_was_never_listed_waits_for_its_list_once() -> None:
    async def scene(world: World) -> None:
        client = world.client()
        call = {"name": "add", "arguments": {"a": 1, "b": 2}}
        assert text_of(await client.modern("tools/call", **call)) == "3"
        [link] = [world.worker.tooling.links.find(world.config, "crm")]
        assert link is not None
        listed = link.listed
        assert text_of(await client.modern("tools/call", **call)) == "3"
        assert link.is_known
        assert link.listed is listed

    play(scene)


def test_the_merged_view_finds_the_server_whose_resource_it_is() -> None:
    async def scene(world: World) -> None:
        client = world.client("/mcp")
        await client.begin()
        read = await client.legacy("resources/read", {"uri": "test://note"})
        assert read["result"]["contents"][0]["text"] == "a note"
        assert [each.upstream for each in world.ledger.intents] == ["crm"]

    play(scene, Plan(name="crm"), Plan(name="files", suffix="_f"))

from tests.gateways.tool.world import World, play


def test_a_tool_out_of_scope_is_not_listed_and_its_call_tells_the_model_why() -> None:
    async def scene(world: World) -> None:
        client = world.client()
        await client.begin()
        listed = (await client.legacy("tools/list"))["result"]["tools"]
        assert [tool["name"] for tool in listed] == ["echo", "add"]
        refused = (await client.legacy("tools/call", called("slow", seconds=0)))["result"]
        assert refused["isError"] is True
        assert refused["structuredContent"]["code"] == "tool_unknown"
        assert world.journal.calls == []

    play(scene, tools=("crm__echo", "crm__add"))


def called(tool: str, **given: object) -> dict[str, object]:
    return {"name": tool, "arguments": given}

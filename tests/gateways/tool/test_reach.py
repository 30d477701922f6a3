from tests.gateways.tool.world import World, play, text_of

from ringfence.testing.tools.plan import Plan


def test_two_clients_never_see_each_others_state() -> None:
    async def scene(world: World) -> None:
        one, two = world.client(), world.client()
        await one.begin()
        await two.begin()
        assert [text_of(await one.legacy("tools/call", called("counter"))) for _ in "ab"] == [
            "1",
            "2",
        ]
        assert text_of(await two.legacy("tools/call", called("counter"))) == "1"
        stranger = world.client(name="other")
        stranger.session = one.session
        assert (await stranger.legacy("tools/list"))["status"] == 404
        away = world.client("/mcp")
        away.session = one.session
        assert (await away.legacy("tools/list"))["status"] == 404

    play(scene)


def test_a_server_that_is_not_the_agents_is_refused_like_one_that_there_is_not() -> None:
    async def scene(world: World) -> None:
        foreign = await world.client("/mcp/files").begin()
        unknown = await world.client("/mcp/none").begin()
        assert (foreign["status"], unknown["status"]) == (403, 403)
        said = [str(each["error"]["message"]) for each in (foreign, unknown)]
        assert said[0].replace("files", "none") == said[1]

    play(scene, Plan(name="crm"), Plan(name="files"), tools=("crm__*",))


def called(tool: str, **given: object) -> dict[str, object]:
    return {"name": tool, "arguments": given}

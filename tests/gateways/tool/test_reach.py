from tests.gateways.tool.world import World, play, text_of

from ringfence.domain.tool_view import ParameterView, ToolView
from ringfence.testing.tools.plan import Json, Plan


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


_REGION: Json = {
    "name": "region",
    "inputSchema": {
        "type": "object",
        "properties": {
            "place": {"type": "string", "x-mcp-header": "Place"},
            "deep": {"type": "boolean"},
        },
    },
}


def test_headers_of_parameters_follow_what_a_view_makes_of_the_arguments() -> None:
    place = ParameterView(parameter="place", name="where", choices=(b'"eu"', b'"us"'))
    deep = ParameterView(parameter="deep", is_hidden=True, default=b"true")
    seen = ToolView(tool="region", parameters=(place, deep))

    async def scene(world: World) -> None:
        call: Json = {"name": "region", "arguments": {"where": "eu"}}
        good = world.client("/mcp/crm", (b"mcp-param-place", b"eu"))
        assert (await good.modern("tools/call", **call))["status"] == 200
        bad = world.client("/mcp/crm", (b"mcp-param-place", b"us"))
        refused = await bad.modern("tools/call", **call)
        assert (refused["status"], refused["error"]["code"]) == (400, -32020)
        legacy = world.client()
        await legacy.begin()
        # The server refuses what its head does not repeat.
        assert text_of(await legacy.legacy("tools/call", call)) == "region"
        [first, second] = world.journal.calls
        assert first.arguments == second.arguments == {"place": "eu", "deep": True}

    play(scene, Plan(name="crm", eras="modern", extra=(_REGION,)), views=(seen,))

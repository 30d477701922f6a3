import pytest
from tests.gateways.tool.streaming import Client
from tests.gateways.tool.world import Json, World, play, text_of

from ringfence.domain.tool import ServerEra
from ringfence.domain.tool_view import ToolView
from ringfence.testing.tools.plan import Plan


async def everything(client: Client, method: str, member: str) -> list[Json]:
    found: list[Json] = []
    params: Json = {}
    while True:
        [page] = await client.ask(method, params)
        found += page["result"][member]
        if "nextCursor" not in page["result"]:
            return found
        params = {"cursor": page["result"]["nextCursor"]}


def test_the_merged_view_has_the_tools_of_all_servers_under_their_names() -> None:
    async def scene(world: World) -> None:
        for is_legacy in (True, False):
            client = Client(world, "/mcp")
            if is_legacy:
                begun = await client.begin()
                assert begun["result"]["serverInfo"]["name"] == "ringfence"
                assert "resources" in begun["result"]["capabilities"]
            names = [tool["name"] for tool in await everything(client, "tools/list", "tools")]
            assert names[0] == "crm__echo"
            assert "files__echo_f" in names
            [answer] = await client.ask(
                "tools/call", {"name": "files__echo_f", "arguments": {"text": "hi"}}
            )
            assert text_of(answer) == "hi"
        assert [call.tool for call in world.servers["files"].journal.calls] == ["echo", "echo"]

    play(scene, Plan(name="crm", page=3), Plan(name="files", eras="legacy", suffix="_f"))


def test_prompts_and_resources_of_all_servers_come_in_pages_of_our_own() -> None:
    async def scene(world: World) -> None:
        client = Client(world, "/mcp")
        await client.begin()
        prompts = [each["name"] for each in await everything(client, "prompts/list", "prompts")]
        assert prompts == ["crm__greet", "crm__plain", "files__greet", "files__plain"]
        resources = await everything(client, "resources/list", "resources")
        assert len(resources) == 4
        [greeted] = await client.ask(
            "prompts/get", {"name": "files__greet", "arguments": {"name": "Ada"}}
        )
        assert greeted["result"]["messages"][0]["content"]["text"] == "hello Ada"
        [read] = await client.ask("resources/read", {"uri": "test://item/7"})
        assert read["result"]["contents"][0]["text"] == '{"id":"7"}'
        ref = {"type": "ref/prompt", "name": "files__greet"}
        argument = {"name": "name", "value": "A"}
        [found] = await client.ask("completion/complete", {"ref": ref, "argument": argument})
        assert found["result"]["completion"]["values"] == ["Ada", "Alan"]

    play(scene, Plan(name="crm", page=1), Plan(name="files", suffix="_f"))


def test_a_cursor_of_somebody_else_is_none() -> None:
    async def scene(world: World) -> None:
        client = Client(world, "/mcp")
        await client.begin()
        [page] = await client.ask("prompts/list")
        cursor = page["result"]["nextCursor"]
        other = world.client("/mcp", name="other")
        await other.begin()
        for params in ({"cursor": cursor}, {"cursor": "made up"}):
            refused = await other.legacy("prompts/list", params)
            assert refused["error"]["code"] == -32602

    play(scene, Plan(name="crm", page=1))


def test_a_server_that_refuses_harms_only_itself() -> None:
    async def scene(world: World) -> None:
        client = Client(world, "/mcp")
        await client.begin()
        names = [tool["name"] for tool in await everything(client, "tools/list", "tools")]
        assert names[0] == "crm__echo"
        assert not [name for name in names if name.startswith("files")]
        [answer] = await client.ask("tools/call", {"name": "crm__echo", "arguments": {"text": "x"}})
        assert text_of(answer) == "x"

    play(scene, Plan(name="crm"), Plan(name="files", suffix="_f", token="wanted"))


def test_where_there_is_but_one_server_its_failure_is_the_answer() -> None:
    async def scene(world: World) -> None:
        [failed] = await Client(world).ask("tools/list")
        assert failed["error"]["code"] == -32003
        assert "credential" in failed["error"]["message"]

    play(scene, Plan(name="crm", token="wanted", eras="modern"), era=ServerEra.MODERN)


def test_a_cut_name_leads_to_its_tool() -> None:
    long = "a_very_long_name_of_a_tool_that_no_provider_would_take_as_it_is_at_all"
    tool = {"name": long, "inputSchema": {"type": "object"}}

    async def scene(world: World) -> None:
        client = Client(world, "/mcp")
        names = [tool["name"] for tool in await everything(client, "tools/list", "tools")]
        [cut] = [name for name in names if len(name) == 64]
        [answer] = await client.ask("tools/call", {"name": cut})
        assert text_of(answer) == long
        [intent] = world.ledger.intents
        assert intent.resource == f"crm__{long}"

    play(scene, Plan(name="crm", extra=(tool,)))


def test_who_may_use_one_tool_is_shown_nothing_else_of_its_server() -> None:
    async def scene(world: World) -> None:
        client = Client(world)
        await client.begin()
        for path in ("/mcp/crm", "/mcp"):
            client = Client(world, path)
            await client.begin()
            for method, member in (
                ("resources/list", "resources"),
                ("resources/templates/list", "resourceTemplates"),
                ("prompts/list", "prompts"),
            ):
                [answer] = await client.ask(method)
                assert answer["result"][member] == []
            [refused] = await client.ask("resources/subscribe", {"uri": "test://note"})
            assert refused["error"]["code"] == -32602
            [tools] = await client.ask("tools/list")
            names = [tool["name"].rpartition("__")[2] for tool in tools["result"]["tools"]]
            assert names[0] == "echo"

    play(scene, tools=("crm__echo",))


@pytest.mark.parametrize("is_legacy", [True, False])
def test_a_list_that_was_kept_gives_way_to_what_changes(is_legacy: bool) -> None:  # noqa: FBT001 (a case)
    async def scene(world: World) -> None:
        client = Client(world)
        if is_legacy:
            await client.begin()

        async def listed() -> Json:
            [page] = await client.ask("tools/list")
            result: Json = page["result"]
            return result

        first = await listed()
        assert await listed() == first
        names = [tool["name"] for tool in first["tools"]]
        assert "echo" in names
        hidden = ToolView(tool="echo", is_hidden=True)
        await world.redefine("crm", views=(hidden,))
        after = await listed()
        assert [tool["name"] for tool in after["tools"]] == [n for n in names if n != "echo"]
        assert await listed() == after
        await world.redefine("crm", views=())
        assert await listed() == first

    play(scene)

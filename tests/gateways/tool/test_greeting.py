from tests.gateways.tool.streaming import Client
from tests.gateways.tool.world import World, play

from ringfence.testing.tools.plan import Plan


def test_one_servers_greeting_passes_as_it_is() -> None:
    async def scene(world: World) -> None:
        begun = (await Client(world).begin())["result"]
        assert begun["instructions"] == "scripted"
        assert begun["capabilities"]["resources"] == {"listChanged": True, "subscribe": True}

    play(scene)


def test_a_modern_server_is_introduced_to_legacy_clients_in_their_words() -> None:
    async def scene(world: World) -> None:
        begun = (await Client(world).begin())["result"]
        assert begun["protocolVersion"] == "2025-11-25"
        assert begun["serverInfo"] == {"name": "crm", "version": "1.0.0"}
        assert begun["instructions"] == "scripted"

    play(scene, Plan(name="crm", eras="modern"))


def test_several_servers_are_introduced_as_one() -> None:
    async def scene(world: World) -> None:
        client = Client(world, "/mcp")
        [found] = await client.ask("server/discover")
        result = found["result"]
        assert result["cacheScope"] == "private"
        assert result["capabilities"]["tools"] == {"listChanged": True}
        assert set(result["capabilities"]) >= {"resources", "prompts", "completions"}

    play(scene, Plan(name="crm", eras="modern"), Plan(name="files", eras="legacy", suffix="_f"))

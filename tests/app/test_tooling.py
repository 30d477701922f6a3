from tests.gateways.tool.world import World, play

from ringfence.stores.secret import EnvironmentSecrets


def test_new_secrets_reach_tool_servers_at_a_reload() -> None:
    async def scene(world: World) -> None:
        before = world.worker.tooling.dispatcher.generation
        names = frozenset({"KEY", "CRM"})
        world.worker.replace_secrets(EnvironmentSecrets(names, {"KEY": "a", "CRM": "b"}))
        assert world.worker.tooling.dispatcher.generation is not before

    play(scene)

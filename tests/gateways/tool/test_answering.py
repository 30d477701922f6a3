from tests.gateways.tool.world import World, play

from ringfence.testing.tools.plan import Plan


def test_a_server_that_is_away_is_told_and_its_refusal_recorded() -> None:
    async def scene(world: World) -> None:
        answer = await world.client().modern("tools/list")
        assert "The tool server cannot be reached" in answer["error"]["message"]
        [refusal] = world.ledger.refusals
        assert (refusal.resource, refusal.operation) == ("crm__tools/list", "tools/list")
        assert refusal.decision.code == "tool_unavailable"

    play(scene, Plan(name="crm", eras="modern"), url="http://127.0.0.1:9/mcp")


def test_a_fault_of_the_protocol_is_answered_with_the_id_that_it_came_with() -> None:
    async def scene(world: World) -> None:
        answer = await world.client().modern("nothing/known")
        assert answer["id"] == 7
        assert answer["error"]["code"] < 0

    play(scene)

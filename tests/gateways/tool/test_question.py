from tests.gateways.tool.streaming import Client
from tests.gateways.tool.world import World, play

from ringfence.testing.tools.plan import Plan

ASK = {"name": "ask", "arguments": {}}


def test_a_question_of_a_legacy_server_is_a_result_whose_state_tells_nothing() -> None:
    async def scene(world: World) -> None:
        states = []
        for _ in range(2):
            [asked] = await Client(world).ask("tools/call", ASK)
            result = asked["result"]
            assert list(result["inputRequests"]) == ["elicitation"]
            states.append(result["requestState"])
        assert states[0] != states[1]
        assert all("org_acme" not in each and "crd_" not in each for each in states)

    play(scene, Plan(name="crm", eras="legacy"))

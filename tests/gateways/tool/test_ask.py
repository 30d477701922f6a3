from tests.gateways.tool.streaming import Client
from tests.gateways.tool.world import World, play

from ringfence.testing.tools.plan import Plan

NAME = {"action": "accept", "content": {"name": "Ada"}}
ASK = {"name": "ask", "arguments": {}}


def test_a_state_that_was_changed_opens_nothing() -> None:
    async def scene(world: World) -> None:
        client = Client(world)
        [asked] = await client.ask("tools/call", ASK)
        state = asked["result"]["requestState"]
        again = {**ASK, "inputResponses": {"elicitation": NAME}}
        [refused] = await client.ask("tools/call", {**again, "requestState": state[:-4] + "AAAA"})
        assert refused["error"]["code"] == -32602
        other = {**again, "name": "sample", "requestState": state}
        [foreign] = await client.ask("tools/call", other)
        assert foreign["error"]["code"] == -32602
        # Nor does it go on with other arguments than those that were decided on and are recorded.
        altered = {**again, "requestState": state, "arguments": {"amount": 1}}
        [altered_] = await client.ask("tools/call", altered)
        assert altered_["error"]["code"] == -32602

    play(scene, Plan(name="crm", eras="legacy"))

import asyncio
import gc

import pytest
from tests.gateways.tool.streaming import Client
from tests.gateways.tool.world import World, play, text_of

from ringfence.domain.agent import AgentState
from ringfence.enforcement.tool_ticket import ToolTicket
from ringfence.gateways.tool.asking import Waiter
from ringfence.gateways.tool.call import ToolCall
from ringfence.gateways.tool.reply import ReplyReader
from ringfence.gateways.tool.web import WebCall
from ringfence.testing.tools.plan import Plan

NAME = {"action": "accept", "content": {"name": "Ada"}}
ASK = {"name": "ask", "arguments": {}}


@pytest.mark.parametrize("eras", ["legacy", "modern"])
def test_progress_comes_on_the_requests_own_stream(eras: str) -> None:
    async def scene(world: World) -> None:
        for is_legacy in (True, False):
            client = Client(world)
            if is_legacy:
                await client.begin()
            params = {
                "name": "progress",
                "arguments": {"steps": 2},
                "_meta": {"progressToken": "mine"},
            }
            *steps, answer = await client.ask("tools/call", params)
            assert [step["params"]["progressToken"] for step in steps] == ["mine", "mine"]
            assert text_of(answer) == "2 steps"

    play(scene, Plan(name="crm", eras=eras))


@pytest.mark.parametrize("eras", ["legacy", "modern"])
def test_a_legacy_client_is_asked_by_servers_of_both_eras(eras: str) -> None:
    async def scene(world: World) -> None:
        client = Client(world)
        await client.begin(elicitation={})
        question, answer = await client.answering("tools/call", ASK, NAME)
        assert question["method"] == "elicitation/create"
        assert text_of(answer) == "accept: Ada"

    play(scene, Plan(name="crm", eras=eras))


@pytest.mark.parametrize("eras", ["legacy", "modern"])
def test_a_modern_client_is_asked_by_servers_of_both_eras(eras: str) -> None:
    async def scene(world: World) -> None:
        client = Client(world)
        [asked] = await client.ask("tools/call", ASK)
        result = asked["result"]
        assert result["resultType"] == "input_required"
        [key] = result["inputRequests"]
        assert result["inputRequests"][key]["method"] == "elicitation/create"
        again = {**ASK, "inputResponses": {key: NAME}, "requestState": result["requestState"]}
        [answer] = await client.ask("tools/call", again)
        assert text_of(answer) == "accept: Ada"
        if eras == "legacy":  # the state is used up, and nobody else's
            [refused] = await client.ask("tools/call", again)
            assert refused["error"]["code"] == -32602
        assert len(world.ledger.intents) == 2

    play(scene, Plan(name="crm", eras=eras))


@pytest.mark.parametrize(
    ("how", "status", "is_known"),
    [
        ("503", "upstream_error", True),
        ("401", "upstream_error", True),
        ("drop", "failed", False),
        ("malformed", "failed", False),
        ("empty", "failed", False),
    ],
)
def test_a_server_that_fails_is_told_to_the_model_and_recorded(
    how: str,
    status: str,
    is_known: bool,  # noqa: FBT001 (a parameter of the test)
) -> None:
    async def scene(world: World) -> None:
        client = Client(world)
        await client.begin()
        params = {"name": "fail", "arguments": {"how": how}}
        [answer] = await client.ask("tools/call", params)
        result = answer["result"]
        assert result["isError"] is True
        assert result["structuredContent"]["code"] == "tool_unavailable"
        await world.turns(lambda: world.ledger.outcomes)
        [outcome] = world.ledger.outcomes
        assert str(outcome.status) == status
        assert not is_known or outcome.http_status == int(how)
        assert text_of((await client.ask("tools/call", {"name": "counter"}))[-1]) == "1"

    play(scene)


def test_an_error_of_the_protocol_passes_as_it_is() -> None:
    async def scene(world: World) -> None:
        client = Client(world)
        await client.begin()
        [failed] = await client.ask("tools/call", {"name": "fail", "arguments": {"how": "rpc"}})
        assert (failed["error"]["code"], failed["id"]) == (-32050, 5)
        [own] = await client.ask("tools/call", {"name": "fail", "arguments": {"how": "error"}})
        assert own["result"]["isError"] is True
        [gone] = await client.ask("resources/read", {"uri": "test://none"})
        assert gone["error"]["data"] == {"uri": "test://none"}

    play(scene)


def test_a_legacy_client_cancels_a_call_and_its_server_hears_of_it() -> None:
    async def scene(world: World) -> None:
        client = Client(world)
        await client.begin()
        params = {"name": "slow", "arguments": {"seconds": 30}}
        going = asyncio.create_task(client.ask("tools/call", params))
        await world.turns(lambda: len(world.journal.calls) == 1)
        note = {"method": "notifications/cancelled", "params": {"requestId": 5}}
        assert await client.say(note) == 202
        assert await going == []
        await world.turns(lambda: world.ledger.outcomes)
        assert world.ledger.outcomes[-1].error == "cancelled"

    play(scene)


def test_a_modern_client_that_leaves_has_cancelled_its_call() -> None:
    async def scene(world: World) -> None:
        client = Client(world)
        params = {"name": "progress", "arguments": {"steps": 500}, "_meta": {"progressToken": 1}}
        async with client.open("tools/call", params) as (_, stream):
            await stream.next()
        await world.turns(lambda: world.ledger.outcomes)
        assert str(world.ledger.outcomes[0].status) == "client_gone"
        await world.turns(lambda: world.journal.cancelled)

    play(scene)


def test_a_call_of_an_agent_that_is_suspended_ends() -> None:
    async def scene(world: World) -> None:
        client = Client(world)
        await client.begin()
        params = {"name": "slow", "arguments": {"seconds": 30}}
        going = asyncio.create_task(client.ask("tools/call", params))
        await world.turns(lambda: world.journal.calls)
        await world.worker.agent_state_changed("org_acme", "agt_triage", AgentState.SUSPENDED)
        [answer] = await going
        assert answer["result"]["structuredContent"]["code"] == "agent_suspended"

    play(scene)


VISIT = {"name": "fail", "arguments": {"how": "visit"}}


def _declaring(**capabilities: object) -> dict[str, object]:
    return {**VISIT, "_meta": {"io.modelcontextprotocol/clientCapabilities": capabilities}}


def test_a_page_that_an_older_server_wants_visited_is_asked_for_in_the_words_of_the_era() -> None:
    async def scene(world: World) -> None:
        client = Client(world)
        [shown] = await client.ask("tools/call", _declaring(elicitation={"url": {}}))
        assert shown["result"]["resultType"] == "input_required"
        [asked] = shown["result"]["inputRequests"].values()
        assert asked["params"]["url"] == "https://tools.example/login"
        again = _declaring(elicitation={"url": {}}) | {
            "inputResponses": {"page-1": {"action": "accept"}},
            "name": "echo",
            "arguments": {"text": "there"},
        }
        [answer] = await client.ask("tools/call", again)
        assert text_of(answer) == "there"
        assert "inputResponses" not in str(world.journal.requests)
        # Who cannot open pages is told in words that a model can pass on.
        [told] = await client.ask("tools/call", _declaring())
        assert told["result"]["isError"] is True
        assert "https://tools.example/login" in text_of(told)
        # In its own era the error stays what it is.
        await client.begin(elicitation={"url": {}})
        [fault] = await client.ask("tools/call", VISIT)
        assert fault["error"]["code"] == -32042

    play(scene, Plan(name="crm", eras="legacy"))


@pytest.mark.parametrize("eras", ["legacy", "modern"])
@pytest.mark.parametrize("is_legacy", [True, False])
def test_a_call_that_is_over_is_freed_at_once(eras: str, *, is_legacy: bool) -> None:
    """A cycle would keep its bodies until the next collection, hundreds of calls later."""
    kinds = (ToolCall, ToolTicket, WebCall, ReplyReader, Waiter)

    def count() -> int:
        return sum(isinstance(each, kinds) for each in gc.get_objects())

    async def scene(world: World) -> None:
        client = world.client()
        await client.begin()
        call: dict[str, object] = {"name": "add", "arguments": {"a": 1, "b": 2}}
        gc.collect()
        gc.disable()
        try:
            for _ in range(5):
                asked = (
                    client.legacy("tools/call", call)
                    if is_legacy
                    else client.modern("tools/call", **call)
                )
                assert text_of(await asked) == "3"
            await (client.legacy("tools/list") if is_legacy else client.modern("tools/list"))
            await world.turns(lambda: len(world.ledger.outcomes) == 5)
            await world.turns(lambda: count() == 0)
        finally:
            gc.enable()

    play(scene, Plan(name="crm", eras=eras))

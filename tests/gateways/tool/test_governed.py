import asyncio
from dataclasses import replace
from typing import Any

import pytest
from tests.gateways.tool.streaming import Client
from tests.gateways.tool.world import World, play

from ringfence.domain.agent import AgentState
from ringfence.domain.event import Intent, Outcome, Status
from ringfence.domain.policy import PolicySource
from ringfence.testing.tools.plan import Plan

SUBSCRIBE = {"uri": "test://note"}
LISTEN: dict[str, Any] = {
    "notifications": {"toolsListChanged": True, "resourceSubscriptions": ["test://note"]}
}


def recorded(world: World) -> list[tuple[str, str]]:
    """What was asked for, and how it ended."""
    ends = {each.action: each.status for each in world.ledger.events if isinstance(each, Outcome)}
    intents = [each for each in world.ledger.events if isinstance(each, Intent)]
    assert all(ends[each.action] is Status.OK for each in intents)
    return [(each.resource, each.operation) for each in intents]


def sent(world: World) -> list[str]:
    """The methods that the server got, besides what the door asks by itself."""
    own = {"initialize", "notifications/initialized", "tools/list", "server/discover"}
    return [each["method"] for each in world.journal.requests if each["method"] not in own]


@pytest.mark.parametrize(
    ("method", "params", "resource"),
    [
        ("logging/setLevel", {"level": "debug"}, "crm__logging/setLevel"),
        ("resources/subscribe", SUBSCRIBE, "crm__resources/read"),
        ("resources/unsubscribe", SUBSCRIBE, "crm__resources/read"),
    ],
)
def test_what_a_legacy_client_sets_is_on_record(
    method: str, params: dict[str, Any], resource: str
) -> None:
    async def scene(world: World) -> None:
        client = Client(world)
        await client.begin()
        [done] = await client.ask(method, params)
        assert "error" not in done
        assert recorded(world) == [(resource, method)]
        assert sent(world) == [method]

    play(scene, Plan(name="crm", eras="legacy"))


@pytest.mark.parametrize("eras", ["legacy", "modern"])
def test_what_a_modern_client_listens_to_is_on_record(eras: str) -> None:
    async def scene(world: World) -> None:
        client = Client(world)
        async with client.open("subscriptions/listen", LISTEN) as (_, stream):
            assert await stream.next()
            assert recorded(world) == [("crm__resources/read", "subscriptions/listen")]
            await client.ask("tools/call", {"name": "touch", "arguments": SUBSCRIBE})
            told = await stream.next()
            assert told is not None
            assert told["method"] == "notifications/resources/updated"

    play(scene, Plan(name="crm", eras=eras))


@pytest.mark.parametrize("eras", ["legacy", "modern"])
def test_who_may_not_read_resources_hears_of_lists_alone(eras: str) -> None:
    async def scene(world: World) -> None:
        client = Client(world)
        async with client.open("subscriptions/listen", LISTEN) as (_, stream):
            assert await stream.next()
            await client.ask("tools/call", {"name": "touch", "arguments": SUBSCRIBE})
            await client.ask("tools/call", {"name": "change_tools", "arguments": {}})
            told = await stream.next()
            assert told is not None
            assert told["method"] == "notifications/tools/list_changed"
        assert "resources/subscribe" not in sent(world)

    play(scene, Plan(name="crm", eras=eras), tools=("crm__touch", "crm__change_tools"))


def test_a_log_level_is_set_only_where_that_is_in_scope() -> None:
    async def scene(world: World) -> None:
        client = Client(world)
        await client.begin()
        [done] = await client.ask("logging/setLevel", {"level": "debug"})
        assert done["result"] == {}
        assert sent(world) == []
        assert recorded(world) == []

    play(scene, Plan(name="crm", eras="legacy"), tools=("crm__echo",))


@pytest.mark.parametrize("ask", ["", '@ask("a person") '])
def test_a_policy_is_asked_and_nobody_is_held_for_it(ask: str) -> None:
    text = f'@id("quiet") {ask}forbid (principal, action, resource == Tool::"crm__resources/read");'

    async def scene(world: World) -> None:
        policies = PolicySource(files={"a.cedar": text}, digest="sha256:p")
        world.config = replace(world.config, policies=policies)
        await world.redefine("crm")
        client = Client(world)
        await client.begin()
        [refused] = await client.ask("resources/subscribe", SUBSCRIBE)
        assert "error" in refused
        assert sent(world) == []
        assert recorded(world) == []

    play(scene, Plan(name="crm", eras="legacy"))


def test_a_suspended_agent_sets_nothing() -> None:
    async def scene(world: World) -> None:
        client = Client(world)
        await client.begin()
        runtime = world.worker.directory.agent("agt_triage")
        assert runtime is not None
        await world.worker.agent_state_changed(world.config.id, runtime.id, AgentState.SUSPENDED)
        await client.ask("logging/setLevel", {"level": "debug"})
        await asyncio.sleep(0)
        assert sent(world) == []

    play(scene, Plan(name="crm", eras="legacy"))

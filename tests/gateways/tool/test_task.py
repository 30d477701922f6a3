import pytest
from tests.gateways.tool.streaming import Client
from tests.gateways.tool.world import Json, World, play

from ringfence.domain.event import Intent
from ringfence.testing.tools.plan import Plan

ECHO = {"name": "echo", "arguments": {"text": "later"}}


def named(result: Json) -> str:
    return str(result["task"]["taskId"] if "task" in result else result["taskId"])


@pytest.mark.parametrize("path", ["/mcp", "/mcp/crm"])
@pytest.mark.parametrize("eras", ["legacy", "modern"])
def test_a_task_is_followed_by_its_name_alone(path: str, eras: str) -> None:
    async def scene(world: World) -> None:
        client = Client(world, path)
        if eras == "legacy":
            await client.begin()
        name = "crm__echo" if path == "/mcp" else "echo"
        [begun] = await client.ask("tools/call", {**ECHO, "name": name})
        shown = named(begun["result"])
        assert "task-1" not in shown
        [got] = await client.ask("tasks/get", {"taskId": shown})
        assert got["result"]["taskId"] == shown
        assert got["result"]["result"]["content"][0]["text"] == "later"
        [gone] = await client.ask("tasks/cancel", {"taskId": shown})
        assert gone["result"]["status"] == "cancelled"
        [lost] = await client.ask("tasks/get", {"taskId": shown})
        assert lost["error"]["code"] == -32602
        operations = [each.operation for each in world.ledger.events if isinstance(each, Intent)]
        assert operations == ["tools/call", "tasks/get", "tasks/cancel", "tasks/get"]

    play(
        scene,
        Plan(name="crm", eras=eras, has_tasks=True),
        Plan(name="files", eras=eras),
    )


def test_a_task_is_of_no_use_to_another_agent_nor_is_a_servers_own_name() -> None:
    async def scene(world: World) -> None:
        begun = await world.client().modern("tools/call", **ECHO)
        shown = named(begun["result"])
        for stranger, name in (("other", shown), ("triage", "task-1"), ("triage", "rf1.AAAA")):
            refused = await world.client(name=stranger).modern("tasks/get", taskId=name)
            assert refused["error"]["code"] == -32602
        elsewhere = await world.client("/mcp/files").modern("tasks/get", taskId=shown)
        assert elsewhere["error"]["code"] == -32602
        assert (await world.client().modern("tasks/get", taskId=shown))["result"]["taskId"] == shown

    play(scene, Plan(name="crm", has_tasks=True), Plan(name="files"))


def test_tasks_of_everybody_are_listed_for_nobody() -> None:
    async def scene(world: World) -> None:
        refused = await world.client().modern("tasks/list")
        assert refused["error"]["code"] == -32601
        legacy = world.client()
        await legacy.begin()
        assert (await legacy.legacy("tasks/list"))["error"]["code"] == -32601
        assert "tasks/list" not in str(world.journal.requests)

    play(scene, Plan(name="crm", has_tasks=True))

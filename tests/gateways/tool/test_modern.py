import json

import pytest
from tests.gateways.tool.world import World, play, text_of
from tests.testing.tools.asking import META

from ringfence.testing.tools.plan import Plan

ERAS = ("both", "legacy", "modern")


@pytest.mark.parametrize("eras", ERAS)
def test_a_modern_client_works_with_servers_of_every_era(eras: str) -> None:
    async def scene(world: World) -> None:
        client = world.client()
        found = (await client.modern("server/discover"))["result"]
        assert "2026-07-28" in found["supportedVersions"]
        listed = (await client.modern("tools/list"))["result"]
        assert (listed["resultType"], listed["cacheScope"]) == ("complete", "private")
        answer = await client.modern("tools/call", **called("echo", text="hi"))
        assert (answer["id"], answer["result"]["resultType"]) == (7, "complete")
        assert text_of(answer) == "hi"
        assert (await client.modern("ping"))["status"] == 404

    play(scene, Plan(name="crm", eras=eras))


def test_a_modern_head_that_does_not_fit_its_body_is_refused() -> None:
    async def scene(world: World) -> None:
        client = world.client()
        params = {"name": "echo", "arguments": {"text": "x"}, "_meta": META}
        document = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        head = [(b"mcp-protocol-version", b"2026-07-28"), (b"mcp-method", b"tools/call")]
        for name in ([], [(b"mcp-name", b"add")]):
            status, _head, answer = await client.send(b"POST", [*head, *name], document)
            assert (status, json.loads(answer)["error"]["code"]) == (400, -32020)
        assert world.journal.calls == []

    play(scene)


def called(tool: str, **given: object) -> dict[str, object]:
    return {"name": tool, "arguments": given}

import json

import pytest
from tests.gateways.tool.world import World, play, text_of
from tests.testing.tools.asking import META

from ringfence.gateways.tool.door import is_foreign
from ringfence.testing.tools.plan import Plan

ERAS = ("both", "legacy", "modern")


@pytest.mark.parametrize("eras", ERAS)
def test_a_legacy_client_works_with_servers_of_every_era(eras: str) -> None:
    async def scene(world: World) -> None:
        client = world.client()
        begun = await client.begin()
        assert begun["result"]["serverInfo"]["name"] == "crm"
        listed = await client.legacy("tools/list")
        assert listed["result"]["tools"][0]["x-vendor"] == {"kept": True}
        assert text_of(await client.legacy("tools/call", called("counter"))) == "1"
        echoed = await client.legacy("tools/call", called("echo", text="hi"))
        assert echoed["result"]["vendorField"] == "kept"
        read = await client.legacy("resources/read", {"uri": "test://note"})
        assert read["result"]["contents"][0]["text"] == "a note"
        assert [call.tool for call in world.journal.calls] == ["counter", "echo"]

    play(scene, Plan(name="crm", eras=eras))


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


def test_a_session_that_the_server_has_forgotten_is_begun_again_and_only_that_one() -> None:
    async def scene(world: World) -> None:
        client = world.client("/mcp")
        await client.begin()
        assert text_of(await client.legacy("tools/call", called("crm__counter"))) == "1"
        assert text_of(await client.legacy("tools/call", called("files__counter_f"))) == "1"
        world.servers["crm"].web.sessions.clear()
        assert text_of(await client.legacy("tools/call", called("crm__counter"))) == "1"
        assert text_of(await client.legacy("tools/call", called("files__counter_f"))) == "2"
        executed = [call.tool for call in world.servers["crm"].journal.calls]
        assert executed == ["counter", "counter"]

    play(scene, Plan(name="crm", eras="legacy"), Plan(name="files", eras="legacy", suffix="_f"))


@pytest.mark.parametrize(
    "body",
    [
        b'{"jsonrpc":"2.0","id":1,"id":2,"method":"tools/list"}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","name":"add"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments":{"a":{"b":1,"b":2}}}}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","Arguments":{}}}',
        b"[]",
        b'{"jsonrpc":"2.0","id":1,"method":"tools/list"',
        b'{"jsonrpc":"2.0","id":{},"method":"tools/list"}',
    ],
)
def test_what_two_parsers_could_read_differently_is_refused(body: bytes) -> None:
    async def scene(world: World) -> None:
        client = world.client()
        await client.begin()
        headers = [(b"mcp-session-id", client.session)]
        status, _head, answer = await client.send_raw(b"POST", headers, body)
        assert (status, json.loads(answer)["error"]["code"] < 0) == (400, True)
        assert world.journal.calls == []

    play(scene)


def test_a_web_page_of_another_place_may_not_ask() -> None:
    async def scene(world: World) -> None:
        client = world.client("/mcp/crm", (b"origin", b"http://evil.example"))
        assert (await client.begin())["status"] == 403
        local = world.client("/mcp/crm", (b"origin", b"http://localhost:6274"))
        assert (await local.begin())["status"] == 200

    play(scene)
    assert not is_foreign(b"http://[::1]:80")
    assert is_foreign(b"null")


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


def test_a_session_ends_when_its_client_says_so() -> None:
    async def scene(world: World) -> None:
        client = world.client()
        await client.begin()
        headers = [(b"mcp-session-id", client.session)]
        status, _head, _answer = await client.send(b"DELETE", headers, None)
        assert status == 200
        assert (await client.legacy("tools/list"))["status"] == 404
        await world.turns(lambda: not world.servers["crm"].web.sessions)

    play(scene)


def called(tool: str, **given: object) -> dict[str, object]:
    return {"name": tool, "arguments": given}

import json

import pytest
from tests.gateways.tool.world import World, play

from ringfence.gateways.tool.door import is_foreign


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


@pytest.mark.parametrize("is_legacy", [True, False])
def test_a_header_of_the_protocol_that_stands_there_twice_is_refused(*, is_legacy: bool) -> None:
    async def scene(world: World) -> None:
        client = world.client()
        await client.begin()
        versions = [
            (b"mcp-protocol-version", b"2026-07-28"),
            (b"mcp-protocol-version", b"2025-11-25"),
        ]
        headers = [*(versions if is_legacy else versions[::-1])]
        headers.append((b"mcp-session-id", client.session))
        document = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        status, _head, answer = await client.send(b"POST", headers, document)
        assert (status, json.loads(answer)["error"]["code"]) == (400, -32020)

    play(scene)

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tests.testing.tools.asking import Asking, messages

from ringfence.testing.tools.plan import Plan
from ringfence.testing.tools.serving import Running, serving
from ringfence.transport.client import Pool

Scene = Callable[[Running, Asking], Awaitable[None]]


def play(scene: Scene, plan: Plan | None = None) -> None:
    async def run() -> None:
        pool = Pool()
        async with serving(plan) as running:
            await scene(running, Asking(pool, running.url))
            await pool.close()

    asyncio.run(run())


@pytest.mark.parametrize("as_stream", [False, True])
def test_a_session_is_made_by_a_handshake_and_needed_after_it(as_stream: bool) -> None:  # noqa: FBT001 (a parameter of the test)
    async def scene(running: Running, asking: Asking) -> None:
        assert (await asking.legacy("tools/list"))["status"] == 404
        begun = await asking.begin()
        assert begun["result"]["protocolVersion"] == "2025-11-25"
        assert asking.session
        called = await asking.legacy("tools/call", {"name": "counter"})
        assert called["result"]["content"][0]["text"] == "1"
        running.web.sessions.clear()
        assert (await asking.legacy("tools/list"))["status"] == 404

    play(scene, Plan(as_stream=as_stream))


def test_a_modern_request_stands_alone() -> None:
    async def scene(running: Running, asking: Asking) -> None:
        found = await asking.modern("server/discover")
        assert found["result"]["supportedVersions"] == ["2026-07-28"]
        called = await asking.modern("tools/call", name="echo", arguments={"text": "hi"})
        assert called["result"]["resultType"] == "complete"
        assert [call.era for call in running.journal.calls] == ["modern"]
        assert (await asking.modern("ping"))["status"] == 404

    play(scene)


def test_a_head_that_says_another_thing_than_its_body_is_refused() -> None:
    async def scene(_: Running, asking: Asking) -> None:
        headers = [(b"mcp-protocol-version", b"2026-07-28"), (b"mcp-method", b"tools/call")]
        document = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        status, _head, body = await asking.send(b"POST", headers, document)
        assert (status, messages(body)[0]["error"]["code"]) == (400, -32020)

    play(scene)


def test_failures_to_order_are_those_of_the_transport() -> None:
    async def scene(_: Running, asking: Asking) -> None:
        called = await asking.modern("tools/call", name="fail", arguments={"how": "503"})
        assert called == {"status": 503}
        failed = await asking.modern("tools/call", name="fail", arguments={"how": "rpc"})
        assert failed["error"]["code"] == -32050

    async def refused(_: Running, asking: Asking) -> None:
        assert (await asking.modern("tools/list"))["status"] == 401

    play(scene)
    play(refused, Plan(token="wanted"))


def test_progress_comes_before_the_answer_on_the_same_stream() -> None:
    async def scene(_: Running, asking: Asking) -> None:
        await asking.begin()
        params = {"name": "progress", "arguments": {"steps": 2}, "_meta": {"progressToken": "t"}}
        document = {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": params}
        headers = [(b"mcp-session-id", asking.session)]
        _status, _head, body = await asking.send(b"POST", headers, document)
        methods = [message.get("method", "answer") for message in messages(body)]
        assert methods == ["notifications/progress", "notifications/progress", "answer"]

    play(scene)

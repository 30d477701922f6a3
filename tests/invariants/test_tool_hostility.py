"""Tool calls against a plane of real processes, where something goes wrong on purpose."""

import asyncio
import contextlib
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.app.installation import Answer, Installation, plane, process
from tests.invariants.tooled import CONFIG, Told, call_tool, configure, held, ringfence

from ringfence.domain.event import Intent, Outcome, Status
from ringfence.testing.tools.serving import Running, serving

PRICE_NANO = 500_000_000


@asynccontextmanager
async def installed_for(
    tmp_path: Path, *, workers: int = 1, **more: str
) -> AsyncIterator[tuple[Installation, Running]]:
    """An installation in front of a scripted tool server."""
    async with serving() as there:
        installed = Installation(tmp_path, workers=workers)
        configure(installed, there.url, **more)
        installed.give_token()
        yield installed, there


def costs(installed: Installation) -> list[tuple[Status, int]]:
    ends = [each for each in installed.events() if isinstance(each, Outcome)]
    return [(each.status, int(each.cost_nano)) for each in ends]


# Priced tools


def test_a_priced_call_that_a_crash_cuts_is_charged_and_the_budget_still_holds(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        priced, agent = ', price_usd: {"*": 0.5}', "budget: {usd: 1.2, per: day}"
        async with installed_for(tmp_path, server=priced, agent=agent) as (installed, there):
            async with process(installed) as running:
                assert (await call_tool(installed, "echo", {"text": "a"})).text == "a"
                slow = asyncio.create_task(call_tool(installed, "slow", {"seconds": 30}))
                async with asyncio.timeout(60):
                    while len(there.journal.calls) < 2:  # noqa: ASYNC110 (it tells nobody)
                        await asyncio.sleep(0.02)
                running.send_signal(signal.SIGKILL)
                await running.wait()
                with contextlib.suppress(ConnectionError, IndexError, ValueError):
                    await slow
            async with plane(installed) as again:
                acme = again.configuration().organisations["acme"]
                lines = await again.workers.budgets(acme.id)
                assert {int(line.spent) for line in lines if line.key.per.value == "day"} == {
                    2 * PRICE_NANO
                }
                refused = await call_tool(installed, "echo", {"text": "b"})
                assert refused.message["result"]["structuredContent"]["code"] == "budget_exhausted"
            assert [call.tool for call in there.journal.calls] == ["echo", "slow"]
            assert costs(installed) == [(Status.OK, PRICE_NANO), (Status.UNKNOWN, PRICE_NANO)]
            await ringfence(installed, "audit", "verify")

    asyncio.run(story())


def test_a_priced_call_whose_server_cannot_be_reached_costs_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        priced, agent = ', price_usd: {"*": 0.5}, retries: 0', "budget: {usd: 1.2, per: day}"
        async with installed_for(tmp_path, server=priced, agent=agent) as (installed, _):
            async with process(installed):
                assert (await call_tool(installed, "echo", {"text": "a"})).text == "a"
                path = installed.folder / "ringfence.yaml"
                text = path.read_text()
                url = text.partition('url: "')[2].partition('"')[0]
                path.write_text(text.replace(url, "http://127.0.0.1:9/mcp"))
                await ringfence(installed, "reload")
                for _ in range(3):
                    await call_tool(installed, "echo", {"text": "b"})
            spent = sum(cost for _, cost in costs(installed))
            assert spent == PRICE_NANO

    asyncio.run(story())


# Counts of a tree


@pytest.mark.parametrize("workers", [1, 3])
def test_calls_per_tool_hold_over_a_whole_tree_of_agents(tmp_path: Path, workers: int) -> None:
    limits = "limits: {tool_calls: 100, calls_per_tool: 7, sub_agents: 10, depth: 2}"

    async def opened(installed: Installation, token: str) -> str:
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        answer = await installed.send(
            "POST", "/ringfence/v1/invocations", b'{"task":"a part"}', headers
        )
        assert answer.status == 201, answer.body
        return str(json.loads(answer.body)["token"])

    async def story() -> None:
        async with installed_for(tmp_path, workers=workers, agent=limits) as (installed, there):
            async with process(installed):
                root = await opened(installed, "rf_agt_triage")
                children = [await opened(installed, root) for _ in range(5)]
                calls = [
                    call_tool(installed, "echo", {"text": f"{token[-4:]} {number}"}, token=token)
                    for number in range(5)
                    for token in (root, *children)
                ]
                told = await asyncio.gather(*calls)
            codes = [_code(each) for each in told]
            assert codes.count("") == 7
            assert set(codes) == {"", "limit_reached"}
            assert len(there.journal.calls) == 7

    asyncio.run(story())


# Slow servers


@asynccontextmanager
async def dripping(gap_s: float) -> AsyncIterator[str]:
    """A server that answers, a byte at a time, and never ends; gives its URL."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n")
            writer.write(b"content-length: 100000\r\n\r\n")
            while not writer.is_closing():
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(gap_s)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            open_.discard(asyncio.current_task())

    open_: set[asyncio.Task[None] | None] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_.add(asyncio.create_task(drip(reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp"
        for task in tuple(open_):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


def test_a_server_that_drips_costs_its_own_callers_a_bounded_time_and_others_none(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        async with dripping(0.05) as url, serving() as there:
            installed = Installation(tmp_path)
            configure(installed, there.url)
            path = tmp_path / "ringfence.yaml"
            text = path.read_text().replace(
                "tools:\n",
                f'tools:\n  drip: {{url: "{url}", timeouts: {{call: 120}}}}\n'
                f'  brief: {{url: "{url}", timeouts: {{call: 1}}}}\n',
                1,
            )
            path.write_text(text.replace('"crm__*"', '"crm__*", "drip__*", "brief__*"'))
            installed.give_token()
            async with process(installed):
                dripped = [
                    asyncio.create_task(call_tool(installed, "x", {}, path="/mcp/drip"))
                    for _ in range(5)
                ]
                for number in range(10):
                    told = await call_tool(installed, "echo", {"text": str(number)})
                    assert told.text == str(number)
                assert not any(each.done() for each in dripped)
                async with asyncio.timeout(60):
                    ended = await call_tool(installed, "x", {}, path="/mcp/brief")
                assert "error" in ended.message or _code(ended)
                for each in dripped:
                    each.cancel()
                await asyncio.gather(*dripped, return_exceptions=True)

    asyncio.run(story())


# Another organisation


OTHER = CONFIG.replace("organisation: {{name: acme", "organisation: {{name: evil")


async def _token(installed: Installation, organisation: str) -> str:
    printed = await ringfence(installed, "agent", "token", "triage", "--organisation", organisation)
    return printed.strip()


async def _key(installed: Installation, user: str, organisation: str) -> str:
    printed = await ringfence(installed, "key", "create", user, "--organisation", organisation)
    return printed.strip()


async def _control(installed: Installation, method: str, path: str, key: str) -> Answer:
    headers = {
        "host": f"127.0.0.1:{installed.control_port}",
        "authorization": f"Bearer {key}",
        "content-type": "application/json",
    }
    body = b"{}" if method == "POST" else b""
    return await installed.send(
        method, f"/api/v1{path}", body, headers, port=installed.control_port
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_organisation_sees_and_moves_nothing_of_the_first(
    tmp_path: Path, workers: int
) -> None:
    async def story() -> None:
        async with installed_for(tmp_path, workers=workers) as (installed, there):
            (tmp_path / "organisations").mkdir()
            evil = OTHER.format(
                url=there.url,
                seconds=60,
                ann="approver",
                organisation="",
                server="",
                agent="limits: {tool_calls: 1000, calls_per_tool: 1000}",
            )
            (tmp_path / "organisations/evil.yaml").write_text(evil)
            async with process(installed):
                theirs = await _token(installed, "evil")
                key = await _key(installed, "ann@acme.example", "evil")
                own = await _key(installed, "ann@acme.example", "acme")
                waits = asyncio.create_task(call_tool(installed, "delete_all", {}))
                [approval] = await held(installed, organisation="acme")
                for method, path in (
                    ("GET", f"/approvals/{approval}"),
                    ("POST", f"/approvals/{approval}/approve"),
                    ("POST", f"/approvals/{approval}/deny"),
                ):
                    answer = await _control(installed, method, path, key)
                    nobodys = path.replace(approval, "apr_x")
                    unknown = await _control(installed, method, nobodys, key)
                    assert answer.status == unknown.status == 404
                    assert answer.body.replace(approval.encode(), b"apr_x") == unknown.body
                listed = await _control(installed, "GET", "/approvals", key)
                assert json.loads(listed.body)["items"] == []
                look = {"authorization": f"Bearer {theirs}"}
                seen = await installed.send("GET", f"/ringfence/v1/approvals/{approval}", b"", look)
                assert seen.status == 404
                # The same call of the other agent is another call, and waits by itself.
                also = asyncio.create_task(call_tool(installed, "delete_all", {}, token=theirs))
                [second] = await held(installed, organisation="evil")
                assert second != approval
                assert (
                    await _control(installed, "POST", f"/approvals/{approval}/approve", own)
                ).status == 200
                assert (await asyncio.wait_for(waits, 60)).text == "delete_all"
                assert not also.done()
                assert len(there.journal.calls) == 1
                assert (
                    await _control(installed, "POST", f"/approvals/{second}/deny", key)
                ).status == 200
                assert _code(await asyncio.wait_for(also, 60)) == "approval_denied"
                assert len(there.journal.calls) == 1

    asyncio.run(story())


# Races around an approval


def test_a_role_that_is_taken_away_before_the_last_vote_takes_its_vote_along(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        async with serving() as there:
            installed = Installation(tmp_path)
            _quorum(installed, there, ann="approver")
            installed.give_token()
            async with process(installed):
                ann = await _key(installed, "ann@acme.example", "acme")
                bob = await _key(installed, "bob@acme.example", "acme")
                waits = asyncio.create_task(call_tool(installed, "delete_all", {}))
                [approval] = await held(installed)
                path = f"/approvals/{approval}/approve"
                assert (await _control(installed, "POST", path, ann)).status == 200
                _quorum(installed, there, ann="viewer")
                await ringfence(installed, "reload")
                assert (await _control(installed, "POST", path, bob)).status == 200
                told = await asyncio.wait_for(waits, 60)
                assert _code(told) == "approval_mismatch"
                assert there.journal.calls == []

    asyncio.run(story())


def _quorum(installed: Installation, there: Running, *, ann: str) -> None:
    configure(installed, there.url, ann=ann)
    path = installed.folder / "ringfence.yaml"
    text = path.read_text().replace("seconds: 60", "seconds: 60, quorum: 2")
    path.write_text(
        text.replace("users:\n", "users:\n  bob@acme.example: {roles: [approver]}\n", 1)
    )


def test_an_approval_given_as_its_time_runs_out_is_either_in_time_or_nothing(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        async with installed_for(tmp_path, seconds="1") as (installed, there):
            async with process(installed):
                key = await _key(installed, "ann@acme.example", "acme")
                for round_ in range(8):
                    before = len(there.journal.calls)
                    headers = {"ringfence-invocation": f"run-{round_}"}
                    waits = asyncio.create_task(
                        call_tool(installed, "delete_all", {}, headers=headers)
                    )
                    listed: list[dict[str, Any]] = []
                    async with asyncio.timeout(60):
                        while not listed and not waits.done():
                            answer = await _control(
                                installed, "GET", "/approvals?state=pending", key
                            )
                            listed = json.loads(answer.body)["items"]
                    if not listed:  # it ran out before it was seen
                        assert _code(await waits) == "approval_expired"
                        continue
                    left_s = int(listed[0]["expires_us"]) / 1e6 - time.time()
                    await asyncio.sleep(max(0.0, left_s - 0.03 + 0.01 * round_))
                    path = f"/approvals/{listed[0]['id']}/approve"
                    voted = await _control(installed, "POST", path, key)
                    told = await asyncio.wait_for(waits, 60)
                    if voted.status == 200:
                        assert told.text == "delete_all"
                        assert len(there.journal.calls) == before + 1
                    else:
                        assert _code(told) == "approval_expired"
                        assert len(there.journal.calls) == before
            intents = [each for each in installed.events() if isinstance(each, Intent)]
            assert len({each.approval for each in intents}) == len(intents)

    asyncio.run(story())


def _code(told: Told) -> str:
    found = told.message.get("result", {}).get("structuredContent", {})
    return str(found.get("code", ""))

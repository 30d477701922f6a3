"""A trace is undone by the calls that a person accepts, each of them approved, and once."""

import asyncio
import json
from pathlib import Path

import pytest
from tests.app.installation import Installation, process
from tests.invariants.tooled import call_tool, configure, held, ringfence

from ringfence.domain.event import Change, Hold, Intent
from ringfence.testing.tools.plan import Call, Json, Plan
from ringfence.testing.tools.serving import Running, serving

SERVER = """,
    write: ["put*"], compensation: {"put*": {call: echo, with: {text: $.arguments.text}}}"""
PLAN_TOOLS: tuple[Json, ...] = tuple(
    {"name": f"put_{name}", "inputSchema": {"type": "object", "properties": {"text": {}}}}
    for name in ("a", "b")
)


async def _done(installed: Installation, there: Running) -> str:
    """An agent puts two things; gives the trace."""
    for name in ("put_a", "put_b"):
        told = await call_tool(
            installed, name, {"text": name}, headers={"ringfence-invocation": "run-1"}
        )
        assert told.text == name, told.message
    there.journal.calls.clear()
    [trace] = json.loads(await ringfence(installed, "trace", "list", "--json"))
    return str(trace["id"])


async def _called(there: Running, count: int) -> list[Call]:
    async with asyncio.timeout(60):
        while len(there.journal.calls) < count:  # noqa: ASYNC110 (a server tells nobody)
            await asyncio.sleep(0.05)
    return there.journal.calls


async def _noted(installed: Installation, what: str, count: int = 1) -> list[Change]:
    async with asyncio.timeout(60):
        while True:
            changes = [each for each in installed.events() if isinstance(each, Change)]
            found = [each for each in changes if each.what == what]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_person_accepts_is_undone_in_reverse_order_and_only_once(
    tmp_path: Path, workers: int
) -> None:
    async def story() -> None:
        async with serving(_plan()) as there:
            installed = Installation(tmp_path, workers=workers)
            configure(installed, there.url, server=SERVER)
            installed.give_token()
            async with process(installed):
                trace = await _done(installed, there)
                await ringfence(installed, "trace", "undo", trace, "--apply")
                for text in ("put_b", "put_a"):
                    [waiting] = await held(installed)
                    shown = json.loads(
                        await ringfence(installed, "approval", "show", waiting, "--json")
                    )
                    assert json.loads(shown["arguments"]) == {"text": text}
                    assert f"undoes `crm__{text}`" in shown["reasons"][0]
                    before = len(there.journal.calls)
                    await ringfence(installed, "approval", "approve", waiting)
                    calls = await _called(there, before + 1)
                    assert calls[-1].arguments == {"text": text}
                await _noted(installed, "undo.done", 2)
                again = json.loads(await ringfence(installed, "trace", "undo", trace, "--json"))
                assert {each["why"] for each in again["steps"]} == {"it was undone already"}
                await ringfence(installed, "audit", "verify")
            intents = [each for each in installed.events() if isinstance(each, Intent)]
            first, second, *undoing = sorted(intents, key=lambda each: int(each.time_us))
            assert [each.about for each in undoing] == [second.action, first.action]
            assert all(each.approval for each in undoing)
            holds = [each for each in installed.events() if isinstance(each, Hold)]
            assert len(holds) == 2

    asyncio.run(story())


def test_what_is_denied_ends_it_and_nothing_after_it_is_undone(tmp_path: Path) -> None:
    async def story() -> None:
        async with serving(_plan()) as there:
            installed = Installation(tmp_path)
            configure(installed, there.url, server=SERVER)
            installed.give_token()
            async with process(installed):
                trace = await _done(installed, there)
                await ringfence(installed, "trace", "undo", trace, "--apply")
                [waiting] = await held(installed)
                await ringfence(installed, "approval", "deny", waiting, "--comment", "leave it")
                [stopped] = await _noted(installed, "undo.stopped")
                assert "leave it" in stopped.detail["told"]
                assert there.journal.calls == []
                assert json.loads(await ringfence(installed, "approval", "list", "--json")) == []

    asyncio.run(story())


def _plan() -> Plan:
    return Plan(extra=PLAN_TOOLS)

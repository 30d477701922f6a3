"""A plane that is killed between the use of an approval and what was approved: at most once."""

import asyncio
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.app.installation import Installation, process
from tests.invariants import crashing
from tests.invariants.crashing import Hooks, hooked
from tests.invariants.tooled import Told, call_tool, configure, held, ringfence

from ringfence.domain.event import Intent, Outcome, Status
from ringfence.testing.tools.serving import Running, serving

TOOL = "delete_all"


@pytest.fixture
def crash(tmp_path: Path) -> Iterator[Hooks]:
    place = tmp_path / "hooks"
    place.mkdir()
    with hooked(place) as made:
        yield made


async def fatal(installed: Installation) -> Told | None:
    """A call that may not survive."""
    with contextlib.suppress(ConnectionError, IndexError, ValueError):
        return await call_tool(installed, TOOL, {})
    return None


async def approved(installed: Installation) -> tuple[Told | None, str]:
    """A call that waits, and somebody who approves it; gives what it came to, and the approval."""
    calling = asyncio.create_task(fatal(installed))
    [waiting] = await held(installed)
    await ringfence(installed, "approval", "approve", waiting)
    return await asyncio.wait_for(calling, 60), waiting


async def killed(installed: Installation, crash: Hooks, point: str) -> str:
    """The approval in whose use the plane dies."""
    async with process(installed) as running:
        crash.arm(point)
        answer, approval = await approved(installed)
        assert answer is None
        async with asyncio.timeout(60):
            assert await running.wait() == -9
    assert crash.has_happened
    return approval


def intents(installed: Installation) -> list[Intent]:
    return [each for each in installed.events() if isinstance(each, Intent)]


async def asked_again(installed: Installation, there: Running, before: str) -> None:
    """After the crash the same call is held anew; a person's second yes makes it once."""
    async with process(installed):
        shown = json.loads(await ringfence(installed, "approval", "show", before, "--json"))
        assert shown["state"] == "consumed"
        assert there.journal.calls == []
        answer, approval = await approved(installed)
        assert answer is not None
        assert approval != before
        assert [each.tool for each in there.journal.calls] == [TOOL], answer.text
        await ringfence(installed, "audit", "verify")


def test_killed_after_the_use_and_before_the_intent_nothing_was_done_and_a_person_is_asked_again(
    tmp_path: Path, crash: Hooks
) -> None:
    async def story() -> None:
        async with serving() as there:
            installed = Installation(tmp_path)
            configure(installed, there.url)
            installed.give_token()
            before = await killed(installed, crash, crashing.APPROVAL_USED)
            assert intents(installed) == []
            await asked_again(installed, there, before)
            [made] = intents(installed)
            assert made.approval not in {"", before}

    asyncio.run(story())


def test_killed_after_the_intent_and_before_the_dispatch_the_record_names_the_approval(
    tmp_path: Path, crash: Hooks
) -> None:
    async def story() -> None:
        async with serving() as there:
            installed = Installation(tmp_path)
            configure(installed, there.url)
            installed.give_token()
            before = await killed(installed, crash, crashing.APPROVED_DURABLE)
            await asked_again(installed, there, before)
            lost, _made = intents(installed)
            assert lost.approval == before
            ends = [each for each in installed.events() if isinstance(each, Outcome)]
            assert [each.status for each in ends if each.action == lost.action] == [Status.UNKNOWN]

    asyncio.run(story())

"""Most is told where doors use it, `tests/gateways/test_action.py`; here is what none meets."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from tests.gateways.test_action import BASH, Here

from ringfence.domain.approval import Approval
from ringfence.domain.invocation import InvocationState
from ringfence.domain.verdict import Code
from ringfence.enforcement.held_call import HeldCalls, Unanswered
from ringfence.enforcement.holding import Holdable
from ringfence.enforcement.refusal import RefusedAction
from ringfence.enforcement.tool_knock import ToolKnock
from ringfence.enforcement.tool_ticket import ToolTicket


def knock_of(here: Here) -> ToolKnock:
    token = here.world.credentials["triage"]
    found = here.world.worker.directory.identify(token.digest, here.world.clock.now_us())
    return ToolKnock(caller=found, key=BASH, arguments=b'{"command":"rm"}')  # type: ignore[arg-type] # it is known


async def attended(here: Here, held: Holdable) -> Approval:
    """The held call, once its run waits for it: it stands in the store a moment earlier."""
    async with asyncio.timeout(60):
        while not held.live.waiting:  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.005)
    return await here.held()


def test_where_nobody_can_be_asked_it_is_denied(tmp_path: Path) -> None:
    async def story() -> None:
        here = Here(tmp_path, has_desk=False)
        knock = knock_of(here)
        held = here.world.worker.tool_path.begin(knock)
        assert isinstance(held, Holdable)
        refused = await HeldCalls(here.world.worker.tool_path, None).pursue(knock, held, 1.0)
        assert isinstance(refused, RefusedAction)
        assert refused.verdict.reason.code is Code.POLICY_DENIED

    asyncio.run(story())


def test_a_call_whose_agent_has_gone_stays_held_though_it_was_approved(tmp_path: Path) -> None:
    async def story() -> None:
        here = Here(tmp_path)
        knock, path = knock_of(here), here.world.worker.tool_path
        held = path.begin(knock)
        assert isinstance(held, Holdable)
        calls = HeldCalls(path, here.desk)
        going = asyncio.create_task(calls.pursue(knock, held, 30.0, lambda: True))
        await here.say(await here.held())
        left = await going
        assert isinstance(left, Unanswered)
        assert here.world.ledger.intents == []

    asyncio.run(story())


@pytest.mark.parametrize("others", [0, 2])
def test_a_call_that_was_held_for_long_goes_on_where_it_was_held(
    tmp_path: Path, others: int
) -> None:
    async def story() -> None:
        here = Here(tmp_path)
        knock, path = knock_of(here), here.world.worker.tool_path
        held = path.begin(knock)
        assert isinstance(held, Holdable)
        going = asyncio.create_task(HeldCalls(path, here.desk).pursue(knock, held, 600.0))
        approval = await attended(here, held)
        # Nothing is known of the run but its time, and that is long over. The wait is not.
        here.world.clock.advance(120 * 1_000_000)
        for number in range(others):
            hints = (("ringfence-invocation", f"run-{number}"),)
            assert not isinstance(
                path.begin(msgspec.structs.replace(knock, hints=hints)), ToolTicket
            )
        await here.say(approval)
        ticket = await going
        assert isinstance(ticket, ToolTicket)
        assert ticket.live is held.live

    asyncio.run(story())


def test_a_run_that_waits_for_a_person_is_not_idle(tmp_path: Path) -> None:
    async def story() -> None:
        here = Here(tmp_path)
        knock, path = knock_of(here), here.world.worker.tool_path
        held = path.begin(knock)
        assert isinstance(held, Holdable)
        idle_s = held.live.runtime.agent.limits.idle_seconds
        # Longer than all that the clock says below: it may say so before the first look is over.
        going = asyncio.create_task(HeldCalls(path, here.desk).pursue(knock, held, 4.0 * idle_s))
        await attended(here, held)
        for _ in range(2 * idle_s // 30):
            here.world.clock.advance(30 * 1_000_000)
            here.world.worker.tidy()
        assert held.live.state is InvocationState.OPEN
        # Asked again within a minute it is still the same run, and the same held call.
        again = path.begin(knock)
        assert isinstance(again, Holdable)
        assert again.live is held.live
        await here.say(await here.held(), yes=False)
        assert isinstance(await going, RefusedAction)
        assert held.live.waiting == 0

    asyncio.run(story())

"""Most is told where doors use it, `tests/gateways/test_action.py`; here is what none meets."""

import asyncio
from pathlib import Path

from tests.gateways.test_action import BASH, Here

from ringfence.domain.verdict import Code
from ringfence.enforcement.held_call import HeldCalls, Pending
from ringfence.enforcement.holding import Holdable
from ringfence.enforcement.refusal import RefusedAction
from ringfence.enforcement.tool_call import ToolKnock


def knock_of(here: Here) -> ToolKnock:
    token = here.world.credentials["triage"]
    found = here.world.worker.directory.identify(token.digest, here.world.clock.now_us())
    return ToolKnock(caller=found, key=BASH, arguments=b'{"command":"rm"}')  # type: ignore[arg-type] # it is known


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
        assert isinstance(left, Pending)
        assert here.world.ledger.intents == []

    asyncio.run(story())

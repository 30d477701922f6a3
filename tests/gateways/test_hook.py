import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.gateways.test_action import Here

from ringfence.domain.event import Outcome, Status
from ringfence.testing.http import MemoryResponse

PATH = "/ringfence/v1/hooks/claude-code/claude"


def hook(event: str = "PreToolUse", /, **more: object) -> dict[str, Any]:
    plain = {
        "hook_event_name": event,
        "tool_name": "Read",
        "tool_use_id": "toolu_1",
        "tool_input": {"file_path": "/project/a"},
    }
    return plain | more


async def said(here: Here, body: object, path: str = PATH) -> MemoryResponse:
    return await here.world.ask(path, body)


def decision(response: MemoryResponse) -> tuple[str, str]:
    assert response.status == 200
    found = msgspec.json.decode(response.body)["hookSpecificOutput"]
    return found["permissionDecision"], found["permissionDecisionReason"]


def outcomes(here: Here) -> list[Outcome]:
    return here.world.ledger.outcomes


def test_a_tool_in_scope_is_allowed_on_the_record(tmp_path: Path) -> None:
    async def story() -> None:
        here = Here(tmp_path)
        allowed, _ = decision(await said(here, hook()))
        assert allowed == "allow"
        (intent,) = here.world.ledger.intents
        assert (intent.resource, intent.tier) == ("claude__Read", "api")
        await said(here, hook("PostToolUse", tool_response={"content": "words"}))
        (outcome,) = outcomes(here)
        assert (outcome.action, outcome.status) == (intent.action, Status.OK)

    asyncio.run(story())


def test_a_tool_that_failed_is_recorded_as_that(tmp_path: Path) -> None:
    async def story() -> None:
        here = Here(tmp_path)
        await said(here, hook())
        await said(here, hook("PostToolUseFailure", error="no such file"))
        (outcome,) = outcomes(here)
        assert outcome.status is Status.FAILED

    asyncio.run(story())


@pytest.mark.parametrize("path", [PATH, f"{PATH[:-6]}other"])
def test_what_is_out_of_scope_is_denied_in_words_for_the_model(tmp_path: Path, path: str) -> None:
    async def story() -> None:
        here = Here(tmp_path)
        triage = here.world.config.agents["triage"]
        narrow = replace(triage, scope=replace(triage.scope, tools=("claude__Grep",)))
        await here.world.reload(replace(here.world.config, agents={"triage": narrow}))
        verdict, why = decision(await said(here, hook(), path))
        assert verdict == "deny"
        assert "Read" in why
        assert len(here.world.ledger.refusals) == 1

    asyncio.run(story())


def test_a_person_is_waited_for(tmp_path: Path) -> None:
    async def story() -> None:
        here = Here(tmp_path)
        asking = asyncio.create_task(said(here, hook(tool_name="Bash")))
        held = await here.held()
        await here.say(held)
        assert decision(await asking)[0] == "allow"
        (intent,) = here.world.ledger.intents
        assert intent.resource == "claude__Bash"

    asyncio.run(story())


def test_a_person_who_says_no_is_obeyed(tmp_path: Path) -> None:
    async def story() -> None:
        here = Here(tmp_path)
        asking = asyncio.create_task(said(here, hook(tool_name="Bash")))
        await here.say(await here.held(), yes=False)
        assert decision(await asking)[0] == "deny"
        assert here.world.ledger.intents == []

    asyncio.run(story())


def test_tools_of_servers_and_other_moments_are_left_alone(tmp_path: Path) -> None:
    async def story() -> None:
        here = Here(tmp_path)
        for body in (hook(tool_name="mcp__crm__find"), hook("Stop"), hook("PostToolUse")):
            answer = await said(here, body)
            assert (answer.status, answer.body) == (200, b"{}")
        assert here.world.ledger.events == []

    asyncio.run(story())


def test_what_cannot_be_read_is_denied(tmp_path: Path) -> None:
    async def story() -> None:
        here = Here(tmp_path)
        assert decision(await said(here, b'{"hook_event_name": 1'))[0] == "deny"

    asyncio.run(story())


def test_a_wrong_path_or_method_is_refused_as_everywhere(tmp_path: Path) -> None:
    async def story() -> None:
        here = Here(tmp_path)
        assert (await said(here, hook(), "/ringfence/v1/hooks/other/claude")).status == 404
        assert (await here.world.ask(PATH, method="GET")).status != 200

    asyncio.run(story())

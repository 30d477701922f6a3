import asyncio
from typing import Any

import msgspec
from tests.gateways.world import World, agent, code_of, organisation

from ringfence.domain.agent import Limits
from ringfence.domain.caller import CallerTier
from ringfence.domain.event import Change
from ringfence.domain.money import Money
from ringfence.domain.user import Principal
from ringfence.enforcement.narrowing import (
    Narrowing,
    budget_of,
    group_of,
    principal_of,
    restored_runtime,
)
from ringfence.enforcement.runtime import AgentRuntime

PATH = "/ringfence/v1/invocations"
DEEP = Limits(depth=2, sub_agents=3, default_output_tokens=100)
ANN = Principal(id="user_ann", name="")


def test_runs_are_grouped_by_credential_and_user() -> None:
    assert group_of("crd_1", None) == "crd_1"
    assert group_of("crd_1", ANN) not in {"crd_1", group_of("crd_2", ANN)}


def test_a_record_says_for_whom_and_with_how_much_money() -> None:
    assert principal_of(Narrowing(user="user_ann")) == ANN
    assert principal_of(Narrowing()) is None
    assert budget_of(Narrowing(budget_nano=5)) == Money(5)
    assert budget_of(Narrowing()) is None


def test_a_restored_root_is_used_as_its_credential_and_user_say() -> None:
    origin = AgentRuntime(organisation(), agent())
    found = restored_runtime(origin, None, CallerTier.BACKGROUND, ANN)
    assert (found.tiers, found.principal) == ((CallerTier.BACKGROUND,), ANN)
    assert restored_runtime(origin, None, CallerTier.API, None) is origin


def test_whatever_narrows_is_written_down() -> None:
    async def story() -> None:
        world = World(organisation(agents={"triage": agent(limits=DEEP)}))
        asked: dict[str, Any] = {
            "models": ["small"],
            "tools": ["crm__get_*"],
            "hosts": ["*.acme.example"],
            "commands": ["git"],
            "budget": {"usd": 1},
            "seconds": 60,
        }
        assert (await world.ask(PATH, asked)).status == 201
        [opened] = [each for each in world.ledger.events if isinstance(each, Change)]
        assert msgspec.json.decode(opened.detail["narrowing"], type=Narrowing) == Narrowing(
            models=("small",),
            tools=("crm__get_*",),
            hosts=("*.acme.example",),
            commands=("git",),
            budget_nano=10**9,
            seconds=60,
        )
        wrong: list[dict[str, object]] = [
            {"tools": "crm__*"},
            {"hosts": [1]},
            {"commands": ["a b"]},
            {"tools": ["x"] * 201},
        ]
        for each in wrong:
            refused = await world.ask(PATH, each)
            assert (refused.status, code_of(refused)) == (400, "request_malformed")

    asyncio.run(story())

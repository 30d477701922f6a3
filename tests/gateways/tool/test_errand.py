import asyncio
from typing import Any

import pytest
from tests.approvals import desk
from tests.gateways.tool.test_held import TIERS, approve, waiting
from tests.gateways.tool.world import World, play

from ringfence.decisions import approval as rule
from ringfence.decisions.approval import Objection
from ringfence.domain.approval import Vote
from ringfence.domain.errand import Errand
from ringfence.domain.event import Intent
from ringfence.gateways.tool import held
from ringfence.testing.ids import SequentialIds
from ringfence.testing.tools.plan import Plan
from ringfence.transport.clock import SystemClock


def errand(world: World, **more: Any) -> Errand:  # noqa: ANN401 (fields of it)
    fields: dict[str, Any] = {
        "organisation": world.config.id,
        "agent": "agt_triage",
        "server": "crm",
        "tool": "echo",
        "arguments": b'{"text":"gone"}',
        "run": "undo-1",
        "about": "act_before",
        "because": "it undoes `crm__put` (act_before), as cli:uid=0 asks",
    }
    return Errand(**fields | more)


@pytest.mark.parametrize("eras", ["legacy", "modern"])
def test_a_call_that_no_policy_asks_about_waits_for_a_person_all_the_same(
    eras: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It is told "ask again" now and then, and does.
    monkeypatch.setattr(held, "WAIT_S", 0.05)
    monkeypatch.setattr(held, "LOOK_S", 0.02)
    place = desk(SystemClock(), SequentialIds())

    async def scene(world: World) -> None:
        carrying = asyncio.create_task(world.worker.carry_out(errand(world)))
        [found] = await waiting(place)
        await asyncio.sleep(0.3)
        assert world.journal.calls == []
        assert found.reasons == ("it undoes `crm__put` (act_before), as cli:uid=0 asks",)
        await approve(place, found)
        outcome = await carrying
        assert (outcome.is_done, outcome.told) == (True, "gone")
        [intent] = [each for each in world.ledger.events if isinstance(each, Intent)]
        assert (intent.about, intent.approval) == ("act_before", found.id)
        assert (intent.credential, intent.tier) == ("plane", "background")

    play(scene, Plan(name="crm", eras=eras), approvals=place)


def test_whoever_asked_for_it_cannot_approve_it() -> None:
    place = desk(SystemClock(), SequentialIds(), approvers=frozenset({"user:ann", "user:bob"}))

    async def scene(world: World) -> None:
        carrying = asyncio.create_task(world.worker.carry_out(errand(world, asker="ann")))
        [found] = await waiting(place)
        ballot = Vote(user="user:ann", approves=True, at_us=SystemClock().now_us())
        assert rule.vote(found, ballot, "ann") is Objection.REQUESTER
        denial = Vote(user="user:bob", approves=False, at_us=ballot.at_us, comment="keep it")
        await place.decide(world.config.id, found.id, denial)
        outcome = await carrying
        assert not outcome.is_done
        assert "keep it" in outcome.told

    play(scene, approvals=place)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"agent": "agt_nobody"}, "no such agent"),
        ({"organisation": "org_other"}, "no such agent"),
        ({"tool": "nothing"}, "has no tool"),
        ({"arguments": b'{"text":7}'}, "must be of type string"),
        ({"server": "other"}, "other"),
    ],
)
def test_what_the_agent_itself_could_not_do_is_not_done_for_it(
    change: dict[str, Any], told: str
) -> None:
    async def scene(world: World) -> None:
        outcome = await world.worker.carry_out(errand(world, **change))
        assert not outcome.is_done
        assert told in outcome.told
        assert world.journal.calls == []

    play(scene, approvals=desk(SystemClock(), SequentialIds()), tiers=TIERS)

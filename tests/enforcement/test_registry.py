import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from tests.enforcement.fleet import Fleet
from tests.gateways.world import TOKEN, World, agent, chat, organisation

from ringfence.domain.agent import AgentState, Limits
from ringfence.domain.event import Change
from ringfence.domain.registry import Heard, Resolve

NAME = b"ringfence-invocation"
DECLARED = "/ringfence/v1/invocations"


async def joined(world: World, **more: Any) -> str:  # noqa: ANN401 (parts of a request)
    response = await world.ask(**more)
    assert response.status == 200, response.body
    return response.headers[NAME].decode()


async def declared(world: World, token: str = TOKEN, **body: object) -> Mapping[str, str]:
    response = await world.ask(DECLARED, body, token=token)
    assert response.status == 201, response.body
    found: Mapping[str, str] = msgspec.json.decode(response.body)
    return found


def resolves(fleet: Fleet) -> int:
    return sum(isinstance(each, Resolve) for each in fleet.asked)


def conversation(*texts: str) -> dict[str, object]:
    """A chat that has gone through these turns, the user's first."""
    roles = ("user", "assistant")
    turns = [{"role": roles[at % 2], "content": text} for at, text in enumerate(texts)]
    return {**chat(), "messages": turns}


@pytest.mark.parametrize(
    "headers",
    [
        {"ringfence-invocation": "run-1"},
        {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
        {"x-claude-code-session-id": "s-1"},
    ],
)
def test_an_id_leads_every_worker_to_the_same_run(headers: Mapping[str, str]) -> None:
    async def story() -> None:
        fleet = Fleet(3)
        found = {await joined(world, headers=headers) for world in fleet.workers * 4}
        assert len(found) == 1
        assert resolves(fleet) == 3

    asyncio.run(story())


def test_a_conversation_goes_on_at_any_worker() -> None:
    async def story() -> None:
        fleet = Fleet(2)
        first, second = fleet.workers
        turns = ["hello"]
        run = await joined(first, body=conversation(*turns))
        for number in range(6):
            turns += [f"answer {number}", f"question {number}"]
            world = (second, first)[number % 2]
            assert await joined(world, body=conversation(*turns)) == run
        other = await joined(second, body=conversation("something else"))
        assert other != run

    asyncio.run(story())


def test_a_worker_that_keeps_its_conversation_asks_once() -> None:
    async def story() -> None:
        fleet = Fleet(2)
        turns = ["hello"]
        for number in range(50):
            await joined(fleet.workers[0], body=conversation(*turns))
            turns += [f"answer {number}", f"question {number}"]
        assert resolves(fleet) == 1
        tips = [each for each in fleet.told if isinstance(each, Heard) and each.tips]
        assert len(tips) == 49

    asyncio.run(story())


def test_one_event_opens_a_run_and_the_registry_writes_it() -> None:
    async def story() -> None:
        fleet = Fleet(2)
        run = await joined(fleet.workers[0], headers={"ringfence-invocation": "r"})
        await joined(fleet.workers[1], headers={"ringfence-invocation": "r"})
        opened = [each for each in fleet.ledger.events if isinstance(each, Change)]
        assert [(each.what, each.subject) for each in opened] == [("invocation.opened", run)]
        for world in fleet.workers:
            intents = world.ledger.intents
            assert [(each.opens, each.invocation) for each in intents] == [(False, run)]
            assert not [each for each in world.ledger.events if isinstance(each, Change)]

    asyncio.run(story())


def test_a_token_is_known_everywhere_when_it_is_given_out() -> None:
    async def story() -> None:
        fleet = Fleet(3)
        given = await declared(fleet.workers[0])
        for world in fleet.workers:
            assert await joined(world, token=given["token"]) == given["id"]
        assert resolves(fleet) == 0

    asyncio.run(story())


def test_sub_agents_of_one_root_hang_from_it_wherever_they_are_opened() -> None:
    async def story() -> None:
        limits = Limits(depth=2, sub_agents=3, default_output_tokens=100)
        fleet = Fleet(3, organisation(agents={"triage": agent(limits=limits)}))
        root = await declared(fleet.workers[0])
        child = await declared(fleet.workers[1], token=root["token"])
        below = await declared(fleet.workers[2], token=child["token"])
        assert (child["parent"], below["parent"], below["root"]) == (
            root["id"], child["id"], root["id"],
        )  # fmt: skip
        await declared(fleet.workers[0], token=root["token"])
        refused = await fleet.workers[1].ask(DECLARED, {}, token=root["token"])
        assert refused.status == 402
        assert await joined(fleet.workers[0], token=below["token"]) == below["id"]

    asyncio.run(story())


def test_what_is_finished_at_one_worker_is_closed_at_all() -> None:
    async def story() -> None:
        limits = Limits(depth=1, sub_agents=3, default_output_tokens=100)
        fleet = Fleet(2, organisation(agents={"triage": agent(limits=limits)}))
        first, second = fleet.workers
        root = await declared(first)
        child = await declared(second, token=root["token"])
        ended = await first.ask(f"{DECLARED}/{root['id']}/finish", {}, token=root["token"])
        assert ended.status == 200
        for token in (root["token"], child["token"]):
            assert (await second.ask(token=token)).status == 402
        kinds = [each.what for each in fleet.ledger.events if isinstance(each, Change)]
        assert kinds.count("invocation.finished") == 2

    asyncio.run(story())


def test_a_closed_run_says_so_to_a_worker_that_never_knew_it() -> None:
    async def story() -> None:
        fleet = Fleet(2)
        first, second = fleet.workers
        run = await joined(first, headers={"ringfence-invocation": "r"})
        await first.ask(f"{DECLARED}/{run}/finish", {})
        refused = await second.ask(headers={"ringfence-invocation": "r"})
        assert refused.status == 402
        assert second.ledger.refusals[-1].invocation == run

    asyncio.run(story())


def test_an_idle_run_ends_everywhere_and_one_that_is_used_anywhere_does_not() -> None:
    async def story() -> None:
        fleet = Fleet(2)
        first, second = fleet.workers
        idle = await joined(first, headers={"ringfence-invocation": "idle"})
        used = await joined(first, headers={"ringfence-invocation": "used"})
        await joined(second, headers={"ringfence-invocation": "used"})
        for _ in range(4):
            fleet.clock.advance(Limits().idle_seconds * 1_000_000 // 3)
            await joined(second, headers={"ringfence-invocation": "used"})
            fleet.tidy()
        view = first.worker.view
        assert view is not None
        assert [live.id for live in view.open()] == [used]
        found = [each for each in fleet.ledger.events if isinstance(each, Change)]
        assert ("invocation.expired", idle) in [(each.what, each.subject) for each in found]

    asyncio.run(story())


def test_the_limit_on_open_runs_holds_over_all_workers() -> None:
    async def story() -> None:
        limits = Limits(open_invocations=3, default_output_tokens=100)
        fleet = Fleet(2, organisation(agents={"triage": agent(limits=limits)}))
        for number in range(3):
            world = fleet.workers[number % 2]
            await joined(world, headers={"ringfence-invocation": f"r{number}"})
        refused = await fleet.workers[1].ask(headers={"ringfence-invocation": "r3"})
        assert refused.status == 429

    asyncio.run(story())


def test_another_agents_run_is_as_unknown_as_any() -> None:
    async def story() -> None:
        limits = Limits(default_output_tokens=100)
        agents = {name: agent(name, limits=limits) for name in ("triage", "spy")}
        fleet = Fleet(2, organisation(agents=agents))
        run = await joined(fleet.workers[0], headers={"ringfence-invocation": "r"})
        spy = "rf_agt_spy"
        for name in (run, "inv_nothing"):
            refused = await fleet.workers[1].ask(headers={"ringfence-invocation": name}, token=spy)
            assert refused.status in {401, 403}

    asyncio.run(story())


def test_who_takes_the_place_of_a_worker_learns_tokens_at_once_and_the_rest_when_asked() -> None:
    async def story() -> None:
        fleet = Fleet(2)
        given = await declared(fleet.workers[0])
        run = await joined(fleet.workers[0], headers={"ringfence-invocation": "r"})
        new = fleet.replace(0)
        assert await joined(new, token=given["token"]) == given["id"]
        assert await joined(new, headers={"ringfence-invocation": "r"}) == run
        await fleet.workers[1].ask(f"{DECLARED}/{given['id']}/finish", {}, token=given["token"])
        assert (await new.ask(token=given["token"])).status == 402

    asyncio.run(story())


def test_without_the_registry_new_runs_are_refused_and_known_ones_go_on() -> None:
    async def story() -> None:
        fleet = Fleet(2)
        world = fleet.workers[0]
        run = await joined(world, headers={"ringfence-invocation": "r"})
        fleet.is_answering = False
        assert await joined(world, headers={"ringfence-invocation": "r"}) == run
        assert (await world.ask(headers={"ringfence-invocation": "new"})).status == 503
        assert (await world.ask(DECLARED, {})).status == 503
        assert world.ledger.refusals[-1].decision.code == "store_unavailable"

    asyncio.run(story())


def test_an_agent_that_is_barred_opens_nothing() -> None:
    async def story() -> None:
        fleet = Fleet(1)
        runtime = fleet.directory.agent("agt_triage")
        assert runtime is not None
        runtime.state = AgentState.SUSPENDED
        refused = await fleet.workers[0].ask(headers={"ringfence-invocation": "new"})
        assert refused.status == 403
        assert len(fleet.registry) == 0

    asyncio.run(story())

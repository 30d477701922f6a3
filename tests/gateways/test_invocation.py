import asyncio
from typing import Any

import msgspec
import pytest
from tests.gateways.world import (
    World,
    agent,
    always,
    chat,
    chat_answer,
    code_of,
    error_of,
    organisation,
    whole,
)

from ringfence.domain.agent import InvocationRule, Limits

PATH = "/ringfence/v1/invocations"
DEEP = Limits(depth=2, sub_agents=3, default_output_tokens=100)


def deep() -> World:
    return World(organisation(agents={"triage": agent(limits=DEEP), "spy": agent("spy")}))


async def opened(world: World, body: object = None, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    response = await world.ask(PATH, body or {}, **more)
    assert response.status == 201, response.body
    given: dict[str, Any] = msgspec.json.decode(response.body)
    assert response.headers[b"ringfence-invocation"].decode() == given["id"]
    return given


def test_an_agent_token_opens_a_root_and_its_token_only_children() -> None:
    async def story() -> None:
        world = deep()
        root = await opened(world, {"task": "sort the tickets"})
        assert (root["root"], root["parent"], root["depth"]) == (root["id"], None, 0)
        # What an agent says of its task is a message: no event holds it.
        assert world.ledger.bodies == {f"Change {root['id']}": b"sort the tickets"}
        assert "sort the tickets" not in repr(world.ledger.events)
        child = await opened(world, token=root["token"])
        assert (child["root"], child["parent"], child["depth"]) == (root["id"], root["id"], 1)
        grandchild = await opened(world, token=child["token"])
        assert (grandchild["root"], grandchild["depth"]) == (root["id"], 2)
        deeper = await world.ask(PATH, {}, token=grandchild["token"])
        assert (deeper.status, code_of(deeper)) == (402, "limit_reached")
        assert error_of(deeper)["ringfence"]["limit"] == "depth"
        called = await world.ask(token=grandchild["token"])
        assert called.headers[b"ringfence-invocation"].decode() == grandchild["id"]
        [intent] = world.ledger.intents
        assert (intent.parent, intent.depth, intent.tier) == (child["id"], 2, "subagent")
        assert intent.chain == ["agt_triage"] * 3

    asyncio.run(story())


def test_a_tree_has_only_so_many_sub_agents() -> None:
    async def story() -> None:
        world = deep()
        root = await opened(world)
        for _ in range(3):
            await opened(world, token=root["token"])
        more = await world.ask(PATH, {}, token=root["token"])
        assert (more.status, error_of(more)["ringfence"]["limit"]) == (402, "sub_agents")

    asyncio.run(story())


def test_a_child_can_only_be_narrower() -> None:
    async def story() -> None:
        world = deep()
        world.providers.answering = always(lambda: whole(chat_answer()))
        root = await opened(world, {"models": ["small", "claude"], "seconds": 60})
        child = await opened(
            world, {"models": ["small", "embed"], "seconds": 3600}, token=root["token"]
        )
        assert child["expires_at_us"] == root["expires_at_us"]
        assert (await world.ask(token=child["token"])).status == 200
        outside = await world.ask(
            "/v1/embeddings", {"model": "embed", "input": "x"}, token=child["token"]
        )
        assert (outside.status, code_of(outside)) == (403, "out_of_scope")
        wider = await world.ask(PATH, {"models": ["other"]}, token=root["token"])
        assert (wider.status, code_of(wider)) == (403, "out_of_scope")

    asyncio.run(story())


def test_a_narrowed_budget_holds_for_the_invocation_and_all_below_it() -> None:
    async def story() -> None:
        world = deep()
        world.providers.answering = always(lambda: whole(chat_answer(5, 50)))
        root = await opened(world, {"budget": {"usd": "0.003"}})
        child = await opened(world, {"budget": {"usd": 1}}, token=root["token"])
        spent = 0
        for token in (root["token"], child["token"], child["token"]):
            response = await world.ask(token=token, body=chat(max_tokens=100))
            if response.status == 402:
                break
            spent = sum(int(each.cost_nano) for each in world.ledger.outcomes)
        assert 0 < spent <= 3_000_000
        for _ in range(10):
            await world.ask(token=child["token"], body=chat(max_tokens=100))
        last = await world.ask(token=child["token"], body=chat(max_tokens=100))
        assert last.status == 402
        assert error_of(last)["ringfence"]["budget"] == "tree per tree"
        assert sum(int(each.cost_nano) for each in world.ledger.outcomes) <= 3_000_000
        # The agent itself goes on.
        assert (await world.ask()).status == 200

    asyncio.run(story())


def test_time_that_is_over_stops_the_invocation_and_its_children() -> None:
    async def story() -> None:
        world = deep()
        root = await opened(world, {"seconds": 60})
        child = await opened(world, token=root["token"])
        world.clock.advance(60_000_000)
        for token in (root["token"], child["token"]):
            over = await world.ask(token=token)
            assert (over.status, code_of(over)) == (402, "limit_reached")
        world.worker.tidy()
        assert world.ledger.changes.count("invocation.expired") == 2

    asyncio.run(story())


def test_a_finished_invocation_answers_stop_and_so_does_everything_below_it() -> None:
    async def story() -> None:
        world = deep()
        root = await opened(world)
        child = await opened(world, token=root["token"])
        done = await world.ask(f"{PATH}/{root['id']}/finish", {}, token=root["token"])
        assert msgspec.json.decode(done.body) == {"id": root["id"], "state": "finished"}
        for token in (root["token"], child["token"]):
            for target, body in ((PATH, {}), ("/v1/chat/completions", chat())):
                closed = await world.ask(target, body, token=token)
                assert (closed.status, code_of(closed)) == (402, "invocation_closed")
        by_id = await world.ask(headers={"ringfence-invocation": root["id"]})
        assert (by_id.status, code_of(by_id)) == (402, "invocation_closed")
        assert world.providers.sent == []

    asyncio.run(story())


def test_only_its_own_may_finish_an_invocation() -> None:
    async def story() -> None:
        world = deep()
        root = await opened(world)
        child = await opened(world, token=root["token"])
        for who, what in (
            (child["token"], root["id"]),
            ("rf_agt_spy", root["id"]),
            (root["token"], child["id"]),
            ("rf_agt_triage", "inv_none"),
        ):
            refused = await world.ask(f"{PATH}/{what}/finish", {}, token=who)
            assert (refused.status, code_of(refused)) == (403, "invocation_unknown")
        assert (await world.ask(token=child["token"])).status == 200
        assert (await world.ask(f"{PATH}/{root['id']}/finish", {})).status == 200

    asyncio.run(story())


def test_an_agent_that_must_declare_its_runs_does() -> None:
    async def story() -> None:
        declared = agent(invocations=InvocationRule.DECLARED)
        world = World(organisation(agents={"triage": declared}))
        refused = await world.ask(headers={"ringfence-invocation": "run-1"})
        assert (refused.status, code_of(refused)) == (403, "invocation_required")
        root = await opened(world)
        assert (await world.ask(token=root["token"])).status == 200

    asyncio.run(story())


def test_new_runs_have_a_rate_and_open_runs_a_number() -> None:
    async def story() -> None:
        limits = Limits(new_invocations_per_minute=3)
        world = World(organisation(agents={"triage": agent(limits=limits)}))
        for _ in range(3):
            await opened(world)
        fast = await world.ask(PATH, {})
        assert (fast.status, code_of(fast)) == (429, "rate_exceeded")
        assert int(fast.headers[b"retry-after"]) == 60
        few = Limits(open_invocations=2)
        world = World(organisation(agents={"triage": agent(limits=few)}))
        for _ in range(2):
            await opened(world)
        assert (await world.ask(PATH, {})).status == 429
        assert (await world.ask(headers={"ringfence-invocation": "run-1"})).status == 429

    asyncio.run(story())


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b'{"task":1}',
        b'{"task":"' + b"x" * 2001 + b'"}',
        b'{"taks":"x"}',
        b'{"task":"x","task":"y"}',
        b'{"models":"small"}',
        b'{"models":[1]}',
        b'{"budget":5}',
        b'{"budget":{"usd":true}}',
        b'{"budget":{"usd":0}}',
        b'{"budget":{"usd":-1}}',
        b'{"budget":{"usd":"NaN"}}',
        b'{"budget":{"usd":"1e400"}}',
        b'{"budget":{"usd":1,"eur":1}}',
        b'{"seconds":0}',
        b'{"seconds":1.5}',
        b'{"seconds":true}',
        b'{"on_behalf_of":{"user":"boss@acme.example"}}',
        b'{"on_behalf_of":"b\xc3\xb6ss"}',
        b"{" + b" " * 70_000 + b"}",
    ],
)
def test_what_cannot_be_an_invocation_is_refused(body: bytes) -> None:
    async def story() -> None:
        world = World()
        response = await world.ask(PATH, body)
        assert response.status in {400, 413}
        assert world.ledger.changes == []
        assert len(world.ledger.refusals) == 1

    asyncio.run(story())


def test_a_token_that_a_crash_would_forget_is_not_given_out() -> None:
    async def story() -> None:
        world = World()
        world.ledger.is_failing = True
        response = await world.ask(PATH, {})
        assert (response.status, code_of(response)) == (503, "store_unavailable")
        assert b"rf_inv_" not in response.body
        assert len(world.worker.invocations) == 0
        world.ledger.is_failing = False
        root = await opened(world)
        world.ledger.is_failing = True
        assert (await world.ask(f"{PATH}/{root['id']}/finish", {})).status == 503

    asyncio.run(story())


def test_the_ledger_never_learns_a_token() -> None:
    async def story() -> None:
        world = World()
        root = await opened(world)
        assert root["token"].startswith("rf_inv_")
        assert root["token"] not in repr(world.ledger.events)

    asyncio.run(story())

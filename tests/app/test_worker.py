import asyncio
from dataclasses import replace
from functools import partial

import pytest
from tests.gateways.world import (
    TOKEN,
    Upstream,
    World,
    agent,
    always,
    chat,
    chunk,
    code_of,
    organisation,
    respond,
    response_answer,
    turns,
    usd,
    whole,
)

from ringfence.domain.agent import AgentState
from ringfence.domain.budget import AccountKey, BudgetScope, Per
from ringfence.domain.event import Status
from ringfence.domain.money import Money
from ringfence.stores.ledger import ProviderObject, Recovered
from ringfence.stores.state.grant import Grant
from ringfence.testing.http import MemoryResponse

KEY = AccountKey("org_acme", BudgetScope.AGENT, "agt_triage", Per.DAY)
DAY_US = 1_767_225_600_000_000


def poor(recovered: Recovered | None = None) -> World:
    return World(organisation(agents={"triage": agent(budgets=(usd(0.002, Per.DAY),))}), recovered)


def test_what_the_ledger_knows_was_spent_counts() -> None:
    async def story() -> None:
        world = poor(Recovered(spent=[(KEY, DAY_US, Money(1_999_000))]))
        response = await world.ask()
        assert (response.status, code_of(response)) == (402, "budget_exhausted")
        [line] = [x for x in await world.worker.budgets("org_acme") if x.key == KEY]
        assert line.spent == 1_999_000
        assert not await world.worker.budgets("org_other")

    asyncio.run(story())


def test_what_a_provider_kept_before_a_restart_may_be_continued_by_its_agent() -> None:
    kept = [
        ProviderObject("org_acme", "agt_triage", "resp_mine", 1000, 1),
        ProviderObject("org_acme", "agt_gone", "resp_lost", 1000, 1),
        ProviderObject("org_other", "agt_triage", "resp_other", 1000, 1),
    ]

    async def story() -> None:
        world = World(recovered=Recovered(objects=kept))
        world.providers.answering = always(partial(whole, response_answer("resp_next", 4, 6)))
        mine = await world.ask("/v1/responses", respond(previous_response_id="resp_mine"))
        assert mine.status == 200
        for name in ("resp_lost", "resp_other"):
            foreign = await world.ask("/v1/responses", respond(previous_response_id=name))
            assert code_of(foreign) == "provider_object"

    asyncio.run(story())


def test_a_grant_lets_calls_through_in_its_window_only() -> None:
    async def story() -> None:
        world = poor(Recovered(spent=[(KEY, DAY_US, Money(2_000_000))]))
        assert (await world.ask()).status == 402
        grant = Grant(
            id="grt_1",
            account=KEY,
            window_start_us=DAY_US,
            amount=Money(2_000_000),
            reason="a hard day",
            created_by="user_owner",
            created_us=world.clock.now_us(),
        )
        await world.worker.grant_added(grant)
        assert (await world.ask()).status == 200
        world.clock.advance(24 * 3600 * 1_000_000)
        await world.ask()
        [line] = [x for x in await world.worker.budgets("org_acme") if x.key == KEY]
        assert line.limit == 2_000_000

    asyncio.run(story())


def test_a_state_of_another_organisations_agent_changes_nothing() -> None:
    async def story() -> None:
        world = World()
        await world.worker.agent_state_changed("org_other", "agt_triage", AgentState.SUSPENDED)
        assert (await world.ask()).status == 200
        await world.worker.agent_state_changed("org_acme", "agt_none", AgentState.SUSPENDED)
        await world.suspend()
        assert (await world.ask()).status == 403
        await world.suspend(state=AgentState.ACTIVE)
        assert (await world.ask()).status == 200

    asyncio.run(story())


def test_an_agent_that_was_suspended_before_the_start_stays_so() -> None:
    async def story() -> None:
        world = World()
        await world.reload(world.config, {"agt_triage": AgentState.SUSPENDED})
        assert code_of(await world.ask()) == "agent_suspended"

    asyncio.run(story())


def test_a_worker_tells_how_it_is() -> None:
    async def story() -> None:
        world = World()
        await world.ask()
        [status] = await world.worker.status()
        assert (status.epoch, status.open_invocations, status.connections) == (1, 1, 0)

    asyncio.run(story())


@pytest.mark.parametrize("count", [1, 30])
def test_tidying_up_drops_what_is_past(count: int) -> None:
    async def story() -> None:
        world = World(organisation(agents={"triage": agent(budgets=(usd(5, Per.INVOCATION),))}))
        for number in range(count):
            await world.ask(body=chat(f"task {number}"))
        held = len(world.worker.book)
        assert held >= count
        world.clock.advance(40 * 24 * 3600 * 1_000_000)
        world.worker.tidy()
        assert len(world.worker.invocations) == 0
        assert len(world.worker.book) == 0
        assert (await world.ask()).status == 200

    asyncio.run(story())


def test_a_reload_leaves_other_agents_alone() -> None:
    async def story() -> None:
        both = organisation(agents={"triage": agent(), "other": agent("other")})
        world = World(both)
        await world.reload(replace(both, agents={"triage": agent()}))
        assert (await world.ask()).status == 200
        assert code_of(await world.ask(token="rf_agt_other")) == "agent_retired"

    asyncio.run(story())


async def _streaming(world: World) -> tuple[asyncio.Task[None], MemoryResponse]:
    """A call whose stream goes on until it is stopped."""
    world.providers.answering = always(lambda: Upstream(pieces=[chunk("hi")], ending="hang"))
    response = MemoryResponse()
    task = asyncio.create_task(
        world.handle("/v1/chat/completions", chat(stream=True), response, token=TOKEN)
    )
    await turns()
    assert response.is_started
    assert not response.is_ended
    return task, response


def test_a_stream_ends_when_the_time_for_rotating_its_token_has_passed() -> None:
    async def story() -> None:
        world = World()
        task, response = await _streaming(world)
        over_us = world.clock.now_us() + 1_000_000
        rotated = replace(world.credentials["triage"], revoked_us=over_us)
        await world.worker.credentials_changed([rotated])
        world.worker.tidy()
        assert not response.is_ended
        world.clock.advance(1_000_000)
        world.worker.tidy()
        await task
        assert b"credential_revoked" in response.body
        assert world.ledger.outcomes[0].status is Status.CUT

    asyncio.run(story())


def test_a_stream_ends_when_a_reload_takes_its_model_away() -> None:
    async def story() -> None:
        world = World()
        task, response = await _streaming(world)
        await world.reload(world.config)
        assert not response.is_ended
        rest = {name: each for name, each in world.config.models.items() if name != "small"}
        await world.reload(replace(world.config, models=rest))
        await task
        assert b"out_of_scope" in response.body
        assert world.ledger.outcomes[0].status is Status.CUT

    asyncio.run(story())

import asyncio
from dataclasses import replace

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
    message,
    organisation,
    turns,
    usd,
    whole,
)

from ringfence.domain.agent import AgentState, Limits, Scope, StoreFailure
from ringfence.domain.budget import Per
from ringfence.domain.event import Status


def test_a_counted_limit_gives_its_reservation_back() -> None:
    async def story() -> None:
        world = World(organisation(agents={"triage": agent(limits=Limits(model_calls=2))}))
        headers = {"ringfence-invocation": "run-1"}
        statuses = [(await world.ask(headers=headers)).status for _ in range(4)]
        assert statuses == [200, 200, 402, 402]
        assert (await world.ask(headers={"ringfence-invocation": "run-2"})).status == 200
        world.check_books()

    asyncio.run(story())


def test_a_call_that_was_not_written_is_not_counted() -> None:
    async def story() -> None:
        world = World(organisation(agents={"triage": agent(limits=Limits(model_calls=1))}))
        headers = {"ringfence-invocation": "run-1"}
        world.ledger.is_failing = True
        assert (await world.ask(headers=headers)).status == 503
        world.ledger.is_failing = False
        assert (await world.ask(headers=headers)).status == 200
        assert (await world.ask(headers=headers)).status == 402

    asyncio.run(story())


@pytest.mark.parametrize("state", [AgentState.SUSPENDED, AgentState.RETIRED])
def test_who_is_suspended_while_the_intent_is_written_reaches_no_provider(
    state: AgentState,
) -> None:
    async def story() -> None:
        world = World()
        world.ledger.is_holding = True
        asking = asyncio.create_task(world.ask())
        await turns()
        await world.suspend(state=state)
        world.ledger.commit()
        response = await asking
        assert (response.status, code_of(response)) == (403, f"agent_{state.value}")
        assert world.providers.sent == []
        [outcome] = world.ledger.outcomes
        assert (outcome.status, outcome.cost_nano) == (Status.CUT, "0")
        world.check_books()

    asyncio.run(story())


def test_a_reload_takes_models_agents_and_budgets() -> None:
    async def story() -> None:
        world = World()
        assert (await world.ask()).status == 200
        scope = Scope(models=frozenset({"other"}))
        poor = agent(scope=scope, budgets=(usd(0.000001, Per.DAY),))
        await world.reload(organisation(agents={"triage": poor}))
        assert code_of(await world.ask()) == "out_of_scope"
        response = await world.ask(body=chat(model="other"))
        assert (response.status, code_of(response)) == (402, "budget_exhausted")
        # What was spent before counts on.
        assert error_of(response)["ringfence"]["limit_usd"] == "0.000001"
        rich = agent(scope=scope, budgets=(usd(5, Per.DAY),))
        await world.reload(organisation(agents={"triage": rich}))
        assert (await world.ask(body=chat(model="other"))).status == 200
        world.check_books()

    asyncio.run(story())


def test_an_open_run_sees_what_a_reload_changed() -> None:
    async def story() -> None:
        world = World(organisation(agents={"triage": agent(limits=Limits(model_calls=1))}))
        headers = {"ringfence-invocation": "run-1"}
        assert (await world.ask(headers=headers)).status == 200
        assert (await world.ask(headers=headers)).status == 402
        budgets = (usd(1, Per.INVOCATION),)
        more = agent(limits=Limits(model_calls=2), budgets=budgets)
        await world.reload(organisation(agents={"triage": more}))
        assert (await world.ask(headers=headers)).status == 200
        scopes = [line.scope for line in world.ledger.intents[-1].accounts]
        assert scopes == ["invocation", "organisation"]
        assert len({each.invocation for each in world.ledger.intents}) == 1

    asyncio.run(story())


def test_a_budget_of_a_run_is_its_own() -> None:
    async def story() -> None:
        world = World(organisation(agents={"triage": agent(budgets=(usd(0.002, Per.INVOCATION),))}))
        world.providers.answering = always(lambda: whole(chat_answer(1000, 50)))
        headers = {"ringfence-invocation": "run-1"}
        assert (await world.ask(headers=headers)).status == 200
        over = await world.ask(headers=headers)
        assert (over.status, error_of(over)["ringfence"]["budget"]) == (
            402,
            "invocation per invocation",
        )
        assert (await world.ask(headers={"ringfence-invocation": "run-2"})).status == 200
        world.check_books()

    asyncio.run(story())


def test_the_team_and_the_organisation_pay_too() -> None:
    async def story() -> None:
        plain = organisation()
        team = replace(plain.teams["support"], budgets=(usd(0.002, Per.WEEK),))
        both = {"triage": agent(), "other": agent("other")}
        world = World(replace(plain, teams={"support": team}, agents=both))
        world.providers.answering = always(lambda: whole(chat_answer(1000, 50)))
        assert (await world.ask()).status == 200
        over = await world.ask(token="rf_agt_other")
        assert over.status == 402
        facts = error_of(over)["ringfence"]
        assert facts["budget"] == "team per week"
        assert "`support`" in error_of(over)["message"]

    asyncio.run(story())


def test_counting_tokens_costs_nothing() -> None:
    async def story() -> None:
        world = World()
        world.providers.answering = always(lambda: whole({"input_tokens": 5}))
        body = {"model": "claude", "messages": message()["messages"]}
        response = await world.ask("/v1/messages/count_tokens", body)
        assert msgspec.json.decode(response.body) == {"input_tokens": 5}
        assert [each.cost_nano for each in world.ledger.outcomes] == ["0"]

    asyncio.run(story())


@pytest.mark.parametrize("rule", list(StoreFailure))
def test_a_journal_will_do_only_for_agents_whose_rule_is_open(rule: StoreFailure) -> None:
    async def story() -> None:
        world = World(organisation(agents={"triage": agent(on_store_failure=rule)}))
        assert (await world.ask()).status == 200
        assert world.ledger.is_open is (rule is StoreFailure.OPEN)

    asyncio.run(story())

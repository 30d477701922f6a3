import asyncio
from dataclasses import replace

import pytest
from tests.gateways.world import (
    RATES,
    World,
    agent,
    always,
    chat,
    chat_answer,
    code_of,
    model,
    organisation,
    usd,
    whole,
)

from ringfence.decisions.period import Line
from ringfence.domain.agent import Limits
from ringfence.domain.budget import Per
from ringfence.domain.price import RateCard, Rates
from ringfence.enforcement.lack import OUTCOME_ROUNDS
from ringfence.enforcement.settlement import card_of


def test_an_impossible_count_is_charged_as_reserved_marked_and_not_learned() -> None:
    async def story() -> None:
        world = World()
        world.providers.answering = always(lambda: whole(chat_answer(2**39, 1)))
        first, second = await world.ask(), await world.ask()
        assert (first.status, second.status) == (200, 200)
        for outcome in world.ledger.outcomes:
            assert (outcome.error, outcome.usage) == ("usage_impossible", None)
            assert outcome.cost_nano == outcome.reserved_nano
        before, after = world.ledger.intents
        assert before.reserved_nano == after.reserved_nano
        world.check_books()

    asyncio.run(story())


def test_a_leg_is_charged_at_its_price_else_at_its_ceiling() -> None:
    ceiling = RateCard(rates=Rates(input=1, output=2))
    world_models = {"small": model("small", price=None, ceiling=ceiling), "other": model("other")}

    async def story() -> None:
        world = World(organisation(models=world_models))
        await world.ask()
        leg = world.worker.directory.agent("agt_triage")
        assert leg is not None
        assert card_of(leg.routes["small"].legs[0]) is ceiling

    asyncio.run(story())


def test_hosted_uses_that_a_dialect_cannot_state_are_charged_as_reserved() -> None:
    card = RateCard(rates=Rates(input=0, output=0), hosted=(("web_search_options", 1_000),))
    searching = model(
        "small",
        price=card,
        hosted_tools=frozenset({"web_search_options"}),
        hosted_uses=4,
        hosted_tokens=10,
    )

    async def story() -> None:
        world = World(organisation(models={"small": searching}))
        assert (await world.ask(body=chat(web_search_options={}))).status == 200
        [outcome] = world.ledger.outcomes
        assert outcome.cost_nano == outcome.reserved_nano == "4000"
        world.check_books()

    asyncio.run(story())


def test_a_leg_without_a_price_cannot_be_charged() -> None:
    async def story() -> None:
        world = World(organisation(models={"small": model("small", price=None)}))
        response = await world.ask()
        assert response.status == 403
        runtime = world.worker.directory.agent("agt_triage")
        assert runtime is not None
        with pytest.raises(ValueError, match="without a price"):
            card_of(runtime.routes["small"].legs[0])

    asyncio.run(story())


def small(budget: int) -> World:
    """One agent whose runs may spend so much; a call is bounded by 1,000,000 and costs 50,000."""
    budgets = (usd(budget / 1e9, Per.INVOCATION),)
    cheap = model("small", price=RateCard(rates=replace(RATES, input=0)))
    limits = Limits(default_output_tokens=100, model_calls=None)
    world = World(
        organisation(
            models={"small": cheap}, agents={"triage": agent(limits=limits, budgets=budgets)}
        )
    )
    world.ledger.is_lingering = True
    world.providers.answering = always(lambda: whole(chat_answer(5, 5)))
    return world


def run_line(world: World) -> Line:
    """The account of the one run."""
    lines = world.worker.book.standing("org_acme", 0)
    [line] = [each for each in lines if each.key.per is Per.INVOCATION]
    return line


RUN = {"ringfence-invocation": "run-1"}
WHOLE = chat(max_tokens=100)


def test_what_a_call_has_not_cost_is_withheld_until_its_outcome_is_durable() -> None:
    async def story() -> None:
        world = small(budget=1_000_000)
        assert (await world.ask(body=WHOLE, headers=RUN)).status == 200
        line = run_line(world)
        assert (line.spent, line.reserved) == (50_000, 950_000)
        world.ledger.write()
        line = run_line(world)
        assert (line.spent, line.reserved) == (50_000, 0)

    asyncio.run(story())


def test_a_lone_agent_whose_budget_fits_one_call_at_a_time_waits_and_is_not_refused() -> None:
    async def story() -> None:
        world = small(budget=1_400_000)
        for number in range(8):
            assert (await world.ask(body=WHOLE, headers=RUN)).status == 200
            assert world.ledger.flushes == number
        assert {intent.output_limit for intent in world.ledger.intents} == {100}
        world.ledger.write()
        world.check_books()

    asyncio.run(story())


def test_an_output_limit_is_lowered_by_what_is_spent_and_not_by_what_is_withheld() -> None:
    async def story() -> None:
        world = small(budget=1_000_000)
        for _ in range(2):
            assert (await world.ask(body=WHOLE, headers=RUN)).status == 200
        assert [intent.output_limit for intent in world.ledger.intents] == [100, 95]

    asyncio.run(story())


def test_who_has_spent_all_is_refused_without_waiting() -> None:
    async def story() -> None:
        world = small(budget=1_000_000)
        world.providers.answering = always(lambda: whole(chat_answer(5, 100)))
        assert (await world.ask(body=WHOLE, headers=RUN)).status == 200
        assert (await world.ask(body=WHOLE, headers=RUN)).status == 402
        assert world.ledger.flushes == 0

    asyncio.run(story())


def test_a_call_is_refused_if_outcomes_cannot_be_written() -> None:
    async def story() -> None:
        world = small(budget=1_000_000)
        assert (await world.ask(body=WHOLE, headers=RUN)).status == 200
        world.ledger.is_failing = True
        response = await world.ask(body=WHOLE, headers=RUN)
        assert (response.status, code_of(response)) == (503, "store_unavailable")

    asyncio.run(story())


def test_calls_that_were_slower_wait_twice_and_are_then_decided() -> None:
    async def story() -> None:
        world = small(budget=1_000_000)
        assert (await world.ask(body=WHOLE, headers=RUN)).status == 200
        world.ledger.is_stuck = True
        response = await world.ask(body=WHOLE, headers=RUN)
        assert response.status == 402
        assert world.ledger.flushes == OUTCOME_ROUNDS

    asyncio.run(story())

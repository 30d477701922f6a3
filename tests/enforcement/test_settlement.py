import asyncio

import pytest
from tests.gateways.world import World, always, chat, chat_answer, model, organisation, whole

from ringfence.domain.price import RateCard, Rates
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

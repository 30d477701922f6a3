import asyncio

import pytest
from tests.gateways.world import World, always, chat, chat_answer, model, organisation, turns, whole

from ringfence.domain.price import RateCard, Rates
from ringfence.domain.verdict import Code, Reason
from ringfence.enforcement.ticket import Ticket, card_of

STOP = Reason(code=Code.INVOCATION_STOPPED, message="Stopped.")


async def ticket_of(world: World) -> tuple[Ticket, "asyncio.Task[object]"]:
    """The ticket of a call that waits for its provider."""
    gate = asyncio.Event()

    async def wait(_sent: object) -> object:
        await gate.wait()
        return whole(chat_answer())

    world.providers.answering = wait  # type: ignore[assignment] # it answers with an upstream
    asking: asyncio.Task[object] = asyncio.create_task(world.ask())
    await turns()
    live = world.worker.invocations.find(world.ledger.intents[0].invocation)
    assert live is not None
    [ticket] = live.running
    assert isinstance(ticket, Ticket)
    return ticket, asking


def test_a_call_is_settled_once() -> None:
    async def story() -> None:
        world = World()
        ticket, asking = await ticket_of(world)
        ticket.stop(STOP)
        ticket.stop(STOP)
        await asking
        ticket.stop(STOP)
        assert not ticket.is_open
        [outcome] = world.ledger.outcomes
        assert outcome.error == "invocation_stopped"
        world.check_books()

    asyncio.run(story())


def test_a_call_that_has_ended_is_running_nowhere() -> None:
    async def story() -> None:
        world = World()
        world.providers.answering = always(lambda: whole(chat_answer()))
        await world.ask()
        live = world.worker.invocations.find(world.ledger.intents[0].invocation)
        assert live is not None
        assert not live.running

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

import asyncio

from tests.gateways.world import World, always, chat_answer, turns, whole

from ringfence.domain.verdict import Code, Reason
from ringfence.enforcement.ticket import Ticket

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

import asyncio

from tests.enforcement.workshop import Workshop, shop

from ringfence.domain.agent import Scope
from ringfence.domain.event import Status
from ringfence.domain.verdict import Code, Reason
from ringfence.enforcement.tool_ticket import ToolEnding

STOP = Reason(code=Code.INVOCATION_STOPPED, message="Stopped.")


def test_a_call_is_settled_once_and_running_until_then() -> None:
    async def story() -> None:
        workshop = Workshop()
        ticket = await workshop.go()
        assert ticket.live.running == {ticket}
        ticket.settle(ToolEnding(status=Status.FAILED, error="tool_unavailable"))
        ticket.settle(ToolEnding(status=Status.OK))
        assert [each.status for each in workshop.ledger.outcomes] == [Status.FAILED]
        assert not ticket.live.running

    asyncio.run(story())


def test_a_stop_reaches_the_door_until_the_call_has_ended() -> None:
    async def story() -> None:
        workshop = Workshop()
        ticket = await workshop.go()
        told: list[Reason] = []
        ticket.stop(STOP)
        ticket.on_stop = told.append
        ticket.stop(STOP)
        ticket.settle(ToolEnding(status=Status.CUT))
        ticket.stop(STOP)
        assert told == [STOP]

    asyncio.run(story())


def test_a_reload_that_takes_the_tool_away_stops_its_calls() -> None:
    async def story() -> None:
        workshop = Workshop()
        ticket = await workshop.go("get_job")
        told: list[Reason] = []
        ticket.on_stop = told.append
        await workshop.world.reload(shop())
        assert told == []
        await workshop.world.reload(shop(scope=Scope(tools=("crm__add_*",))))
        assert [why.code for why in told] == [Code.TOOL_UNKNOWN]

    asyncio.run(story())


def test_what_was_never_sent_is_settled_as_such() -> None:
    async def story() -> None:
        workshop = Workshop()
        workshop.path.forsake(await workshop.go())
        [outcome] = workshop.ledger.outcomes
        assert (outcome.status, outcome.error, outcome.cost_nano) == (
            Status.FAILED,
            "interrupted",
            "0",
        )
        workshop.world.check_books()

    asyncio.run(story())

import asyncio

import pytest
from tests.enforcement.workshop import RESULT, Workshop

from ringfence.decisions.failure_rule import Failed
from ringfence.domain.event import Status
from ringfence.domain.tool_rule import ToolFailure
from ringfence.domain.verdict import Code, Deny, Throttle
from ringfence.enforcement.refusal import RefusedAction
from ringfence.enforcement.tool_inspection import Inspected, Unfinished
from ringfence.enforcement.tool_ticket import ToolEnding, ToolTicket

SECOND_US = 1_000_000


def fail(workshop: Workshop, failure: ToolFailure, times: int, name: str = "get_job") -> None:
    for number in range(times):
        ticket = workshop.ticket(name, arguments={"id": number} if name == "get_job" else {})
        workshop.path.failed(ticket, Failed(failure=failure))
        ticket.settle(ToolEnding(status=Status.FAILED, error=failure.value))


def refused(workshop: Workshop, name: str = "get_job") -> RefusedAction | None:
    begun = workshop.begin(name)
    if isinstance(begun, ToolTicket):
        begun.settle(ToolEnding(status=Status.OK))
        return None
    return begun


@pytest.mark.parametrize(
    "failure", [ToolFailure.TIMEOUT, ToolFailure.SERVER_ERROR, ToolFailure.MALFORMED]
)
def test_a_tool_that_fails_again_and_again_is_left_alone_and_the_others_go_on(
    failure: ToolFailure,
) -> None:
    async def story() -> None:
        workshop = Workshop()
        fail(workshop, failure, 4)
        assert refused(workshop) is None
        fail(workshop, failure, 1)
        found = refused(workshop)
        assert found is not None
        assert isinstance(found.verdict, Throttle)
        assert found.verdict.reason.code is Code.TOOL_UNAVAILABLE
        assert "Other tools are not affected" in found.verdict.reason.message
        assert refused(workshop, "get_client") is None
        assert "breaker.opened" in workshop.ledger.changes

    asyncio.run(story())


def test_a_server_that_is_away_is_left_alone_with_all_its_tools() -> None:
    async def story() -> None:
        workshop = Workshop()
        fail(workshop, ToolFailure.AWAY, 5)
        assert refused(workshop, "get_client") is not None

    asyncio.run(story())


def test_who_refuses_our_credential_is_told_of_once_and_clearly() -> None:
    async def story() -> None:
        workshop = Workshop()
        fail(workshop, ToolFailure.UNAUTHORIZED, 3)
        found = refused(workshop, "get_client")
        assert found is not None
        assert isinstance(found.verdict, Deny)
        assert "Stop here: no retry can succeed" in found.verdict.reason.message

    asyncio.run(story())


def test_a_forbidden_call_speaks_against_this_tool_for_this_agent_alone() -> None:
    async def story() -> None:
        workshop = Workshop()
        fail(workshop, ToolFailure.FORBIDDEN, 3)
        assert refused(workshop) is not None
        assert refused(workshop, "get_client") is None

    asyncio.run(story())


@pytest.mark.parametrize(
    "failure", [ToolFailure.NOT_FOUND, ToolFailure.RATE_LIMITED, ToolFailure.EMPTY]
)
def test_what_is_the_requests_fault_speaks_against_nobody(failure: ToolFailure) -> None:
    async def story() -> None:
        workshop = Workshop()
        fail(workshop, failure, 20)
        assert refused(workshop) is None

    asyncio.run(story())


def test_after_its_time_one_call_goes_out_to_see() -> None:
    async def story() -> None:
        workshop = Workshop()
        fail(workshop, ToolFailure.AWAY, 5)
        workshop.world.clock.advance(6 * SECOND_US)
        probe = workshop.ticket()
        assert probe.is_probe
        assert refused(workshop) is not None
        answered = workshop.path.inspect(probe, RESULT)
        assert isinstance(answered, Inspected)
        probe.settle(answered.ending())
        assert refused(workshop) is None
        assert not workshop.world.worker.watch.breakers.known

    asyncio.run(story())


def test_a_probe_that_tells_nothing_leaves_room_for_the_next() -> None:
    async def story() -> None:
        workshop = Workshop()
        fail(workshop, ToolFailure.TIMEOUT, 5)
        workshop.world.clock.advance(6 * SECOND_US)
        workshop.path.forsake(await workshop.go())
        assert workshop.ticket().is_probe

    asyncio.run(story())


def test_a_failure_is_unfinished() -> None:
    async def story() -> None:
        workshop = Workshop()
        what = Failed(failure=ToolFailure.AWAY)
        assert workshop.path.failed(workshop.ticket(), what) == Unfinished(what=what)

    asyncio.run(story())

import asyncio
import socket
from collections.abc import Awaitable
from dataclasses import replace

import pytest
from tests.decisions.test_approval import BINDING, held

from ringfence.app.approval_message import (
    ConsumeApproval,
    ConsumedApproval,
    FindApproval,
    FoundApproval,
    HeldCall,
    HoldCall,
)
from ringfence.app.inquiry import Inquiries
from ringfence.app.message import (
    VERSION,
    ActionTaken,
    Done,
    Identified,
    Identify,
    Message,
    ReportAction,
)
from ringfence.domain.error import PeerError, RingfenceError, UnavailableError
from ringfence.domain.lease import Report, Take, Taken
from ringfence.domain.model import UpstreamKey, UpstreamKind
from ringfence.domain.pacing import Busy, Enter, Entered
from ringfence.domain.registry import Clue, Heard, Resolve, Resolved, Who
from ringfence.domain.verdict import Deny
from ringfence.enforcement.approval import Asking, Held
from ringfence.enforcement.authority import LAPSED
from ringfence.gateways.action_form import Reported
from ringfence.transport.link import Link

RESOLVE = Resolve(who=Who(agent="agt_1", credential="crd_1"), clue=Clue())
TAKE = Take(epoch=1, wants=())


class Supervisor:
    """Answers everything; `is_confused` answers everything wrongly."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self.is_confused = False

    def told(self, message: Message) -> None:
        self.heard.append(message)

    def asked(self, message: Message) -> Message | Awaitable[Message]:
        self.heard.append(message)
        if self.is_confused:
            return Done()
        match message:
            case Identify(name=name):
                return Identified(f"user_{name}")
            case Resolve():
                return Resolved()
            case Take():
                return Taken(slabs=())
            case HoldCall() | FindApproval() | ConsumeApproval() | ReportAction():
                return _of_action(message)
            case _:
                raise AssertionError(message)

    def closed(self, why: RingfenceError) -> None:
        """Nobody waits."""


def _of_action(message: Message) -> Message:
    match message:
        case HoldCall():
            is_much = len(message.asking.reasons) > 1
            found = Held(approval=held(), is_new=True)
            return HeldCall(refused=LAPSED) if is_much else HeldCall(held=found)
        case FindApproval():
            return FoundApproval(held())
        case ConsumeApproval(approval="apr_1"):
            return ConsumedApproval(approval=held())
        case ConsumeApproval():
            return ConsumedApproval(refused=LAPSED)
        case _:
            return ActionTaken(is_taken=True)


async def linked() -> tuple[Inquiries, Supervisor, Link[Message]]:
    ours, theirs = socket.socketpair()
    supervisor, inquiries = Supervisor(), Inquiries()
    opening = asyncio.create_task(Link[Message].over(theirs, Message, VERSION, supervisor))
    inquiries.link = await Link[Message].over(ours, Message, VERSION, Supervisor())
    return inquiries, supervisor, await opening


def test_held_calls_and_actions_are_asked_of_the_supervisor() -> None:
    async def story() -> None:
        inquiries, _, link = await linked()
        asking = Asking(binding=BINDING, agent_name="triage", reasons=("why",), seconds=9)
        assert await inquiries.hold(asking) == Held(approval=held(), is_new=True)
        much = replace(asking, reasons=("why", "and why"))
        assert await inquiries.hold(much) == Deny(reason=LAPSED)
        assert await inquiries.find("org_1", "apr_1") == held()
        assert await inquiries.consume("apr_1", BINDING, "act_1") == held()
        assert await inquiries.consume("apr_2", BINDING, "act_1") == Deny(reason=LAPSED)
        told = Reported(
            organisation="o", credential="c", action="a", is_ok=True, result=b"{}", error=""
        )
        assert await inquiries.elsewhere(told)
        link.close()

    asyncio.run(story())


def test_everything_that_a_worker_lacks_is_asked_and_answered() -> None:
    async def story() -> None:
        inquiries, supervisor, link = await linked()
        assert await inquiries.user_id("org_1", "a") == "user_a"
        assert await inquiries.user_id("org_1", "a") == "user_a"
        assert await inquiries.registry(RESOLVE) == Resolved()
        assert await inquiries.take(TAKE) == Taken(slabs=())
        assert inquiries.asked == 3
        inquiries.report(Report())
        inquiries.tell(Heard())
        await inquiries.registry(RESOLVE)
        assert [type(each) for each in supervisor.heard[3:]] == [Report, Heard, Resolve]
        link.close()

    asyncio.run(story())


def test_an_answer_to_something_else_is_none() -> None:
    async def story() -> None:
        inquiries, supervisor, link = await linked()
        supervisor.is_confused = True
        for asking in (
            inquiries.user_id("org_1", "a"),
            inquiries.registry(RESOLVE),
            inquiries.take(TAKE),
        ):
            with pytest.raises(PeerError):
                await asking
        link.close()

    asyncio.run(story())


def test_without_a_supervisor_nothing_is_answered() -> None:
    async def story() -> None:
        inquiries, _, link = await linked()
        link.close()
        await asyncio.sleep(0.01)
        for asking in (
            inquiries.user_id("org_1", "a"),
            inquiries.registry(RESOLVE),
            inquiries.take(TAKE),
        ):
            with pytest.raises(UnavailableError):
                await asking
        with pytest.raises(UnavailableError):
            await Inquiries().take(TAKE)

    asyncio.run(story())


ENTER = Enter(number=7, agent="agt_1", upstreams=())


def test_places_are_waited_for_until_they_are_told_of() -> None:
    async def story() -> None:
        inquiries, supervisor, link = await linked()
        entering = asyncio.create_task(inquiries.enter(ENTER))
        await asyncio.sleep(0.01)
        assert supervisor.heard == [ENTER]
        inquiries.entered(Entered(number=8))
        busy = Busy(
            upstream=UpstreamKey("org_1", UpstreamKind.MODEL, "m"), words="is busy", wait_s=1.0
        )
        inquiries.entered(Entered(number=7, busy=busy))
        assert await entering == busy
        inquiries.entered(Entered(number=7))  # nobody waits any more
        link.close()

    asyncio.run(story())


def test_nobody_waits_for_places_whose_supervisor_has_gone() -> None:
    async def story() -> None:
        inquiries, _, link = await linked()
        entering = asyncio.create_task(inquiries.enter(ENTER))
        await asyncio.sleep(0)
        link.close()
        inquiries.closed()
        with pytest.raises(UnavailableError):
            await entering
        await asyncio.sleep(0.01)
        with pytest.raises(UnavailableError):
            await inquiries.enter(ENTER)

    asyncio.run(story())

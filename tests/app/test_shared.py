import asyncio
from collections.abc import Awaitable

import pytest
from tests.app.beginning import beginning
from tests.approvals import desk
from tests.decisions.test_approval import BINDING
from tests.gateways.world import MemoryLedger
from tests.tools import listing, tool

from ringfence.app.approval_message import (
    ConsumeApproval,
    ConsumedApproval,
    FindApproval,
    FoundApproval,
    HeldCall,
    HoldCall,
)
from ringfence.app.change_message import StateChange
from ringfence.app.message import (
    ActionTaken,
    Done,
    Identified,
    Identify,
    Learned,
    Message,
    Pulse,
    ReportAction,
)
from ringfence.app.shared import Shared
from ringfence.domain.agent import AgentState
from ringfence.domain.approval import Vote
from ringfence.domain.error import PeerError, RingfenceError
from ringfence.domain.lease import Holder
from ringfence.domain.registry import Clue, Declare, End, Ended, Opened, Resolve, Resolved, Who
from ringfence.domain.tool_source import ToolSource
from ringfence.enforcement.approval import Asking
from ringfence.enforcement.provider_object import Kept
from ringfence.gateways.action_form import Reported
from ringfence.testing.clock import ManualClock
from ringfence.testing.ids import SequentialIds

WHO = Who(agent="agt_triage", credential="crd_triage")


class Worker:
    """A worker that notes what it is told and obeys when it is let."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.holder = Holder(f"{number}.1")
        self.heard: list[Message] = []
        self.may_obey = asyncio.Event()
        self.may_obey.set()
        self.keeps_action = False

    def tell(self, message: Message) -> None:
        self.heard.append(message)

    def ask(self, message: Message) -> asyncio.Future[Message]:
        self.heard.append(message)
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        if isinstance(message, ReportAction):
            answer.set_result(ActionTaken(self.keeps_action))
        return answer

    async def obey(self, answer: asyncio.Future[Message]) -> None:
        await self.may_obey.wait()
        answer.set_result(Done())


class Installation:
    """Two workers and what they share."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.ledger = MemoryLedger()
        self.desk = desk(self.clock, SequentialIds())
        self.workers = [Worker(1), Worker(2)]
        begun = beginning(self.ledger, self.desk)
        self.shared = Shared(begun, self.clock, SequentialIds(), lambda: self.workers)

    async def ask(self, message: Message, worker: int = 0) -> Message:
        answer = self.shared.asked(self.workers[worker], message)
        return await answer if isinstance(answer, Awaitable) else answer

    async def declare(self) -> str:
        declared = Declare(who=WHO, task="t", narrowing="", digest=b"d")
        answer = await self.ask(declared)
        assert isinstance(answer, Resolved)
        return answer.cards[-1].identity.id


def test_a_new_run_is_answered_when_it_is_on_record() -> None:
    async def story() -> None:
        installed = Installation()
        installed.clock.advance(1)
        resolve = Resolve(who=WHO, clue=Clue(header="ticket-7"))
        installed.ledger.is_failing = True
        with pytest.raises(RingfenceError):
            await installed.ask(resolve)
        installed.ledger.is_failing = False
        first = await installed.ask(Resolve(who=WHO, clue=Clue(header="ticket-8")))
        again = await installed.ask(Resolve(who=WHO, clue=Clue(header="ticket-8")), worker=1)
        assert isinstance(first, Resolved)
        assert isinstance(again, Resolved)
        assert first.cards[-1].identity.id == again.cards[-1].identity.id

    asyncio.run(story())


def test_a_token_is_given_out_when_every_other_worker_knows_it() -> None:
    async def story() -> None:
        installed = Installation()
        installed.workers[1].may_obey.clear()
        declaring = asyncio.create_task(installed.declare())
        for _ in range(5):
            await asyncio.sleep(0)
        assert not declaring.done()
        [told] = installed.workers[1].heard
        assert isinstance(told, Opened)
        installed.workers[1].may_obey.set()
        run = await declaring
        assert told.cards[-1].identity.id == run
        assert installed.workers[0].heard == []

    asyncio.run(story())


def test_an_end_is_answered_when_every_worker_that_knows_the_run_has_been_told() -> None:
    async def story() -> None:
        installed = Installation()
        run = await installed.declare()
        installed.workers[1].may_obey.clear()
        ending = asyncio.create_task(installed.ask(End(invocation=run)))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not ending.done()
        installed.workers[1].may_obey.set()
        await ending
        for worker in installed.workers:
            told = worker.heard[-1]
            assert isinstance(told, Ended)
            assert told.invocation == run
        await installed.shared.tidy()

    asyncio.run(story())


def test_a_worker_that_starts_knows_what_has_a_token_and_one_that_died_nothing() -> None:
    async def story() -> None:
        installed = Installation()
        run = await installed.declare()
        installed.shared.died(installed.workers[1])
        await installed.ask(End(invocation=run))
        assert [type(each) for each in installed.workers[1].heard] == [Opened]
        other = await installed.declare()
        cards = installed.shared.begin(installed.workers[1])
        assert [card.identity.id for card in cards] == [other]

    asyncio.run(story())


def test_an_agent_that_was_suspended_opens_no_run() -> None:
    async def story() -> None:
        installed = Installation()
        installed.shared.take(
            StateChange(
                change=1, organisation="org_acme", agent="agt_triage", state=AgentState.SUSPENDED
            )
        )
        answer = await installed.ask(Resolve(who=WHO, clue=Clue()))
        assert isinstance(answer, Resolved)
        assert answer.refusal is not None
        assert answer.refusal.reason.code.value == "agent_suspended"

    asyncio.run(story())


def test_users_get_their_ids_here_and_nothing_else_is_answered() -> None:
    async def story() -> None:
        installed = Installation()
        one = await installed.ask(Identify(organisation="org_acme", name="a@acme.example"))
        two = await installed.ask(Identify(organisation="org_acme", name="a@acme.example"), 1)
        assert isinstance(one, Identified)
        assert one == two
        with pytest.raises(PeerError):
            installed.shared.asked(installed.workers[0], Done())
        with pytest.raises(PeerError):
            installed.shared.told(installed.workers[0], pulse())

    asyncio.run(story())


def pulse() -> Pulse:
    return Pulse(
        epoch=0,
        open_invocations=0,
        connections=0,
        memory_bytes=0,
        cpu_us=0,
        inquiries=0,
        lapses=0,
        lost=0,
        trouble="",
    )


def test_what_one_worker_learns_every_other_is_told_and_who_starts_later_too() -> None:
    async def story() -> None:
        installed = Installation()
        first, second = installed.workers
        kept = Kept(organisation="org_acme", owner="agt_triage", name="resp_1", tokens=5)
        installed.shared.told(first, Learned(kept=(kept,)))
        assert Learned(kept=(kept,)) in second.heard
        assert Learned(kept=(kept,)) not in first.heard
        assert installed.shared.learning.all() == Learned(kept=(kept,))

    asyncio.run(story())


def test_what_one_worker_sees_of_tools_all_know_and_the_first_to_see_it_is_right() -> None:
    async def script() -> None:
        installation = Installation()
        first, second = installation.workers
        installation.shared.told(first, listing(tool("get")))
        installation.shared.told(second, listing(tool("get", "Other.")))
        for worker in (first, second):
            newest = [each for each in worker.heard if isinstance(each, ToolSource)][-1]
            assert newest.listing.raw == (tool("get", "Other.").raw,)
            assert [pin.raw for pin in newest.pins] == [tool("get").raw]
        installation.shared.told(first, listing(tool("get", "Other."), seen_us=9))
        assert isinstance(first.heard[-1], ToolSource)
        assert installation.shared.tools.all() == (first.heard[-1],)

    asyncio.run(script())


def test_a_call_is_held_answered_and_used_for_whichever_worker_asks() -> None:
    async def story() -> None:
        here = Installation()
        asking = Asking(binding=BINDING, agent_name="triage", reasons=("why",), seconds=600)
        answer = await here.ask(HoldCall(asking))
        assert isinstance(answer, HeldCall)
        assert answer.held is not None
        approval = answer.held.approval
        ballot = Vote(user="user:ann", approves=True, at_us=here.clock.now_us())
        await here.desk.decide(BINDING.organisation, approval.id, ballot)
        asked = FindApproval(organisation=BINDING.organisation, approval=approval.id, wait_s=1.0)
        found = await here.ask(asked, worker=1)
        assert isinstance(found, FoundApproval)
        assert found.approval is not None
        use = ConsumeApproval(approval=approval.id, binding=BINDING, action="act_1")
        used, again = await here.ask(use, worker=1), await here.ask(use)
        assert isinstance(used, ConsumedApproval)
        assert used.approval is not None
        assert isinstance(again, ConsumedApproval)
        assert again.refused is not None

    asyncio.run(story())


def test_an_outcome_goes_to_the_worker_that_keeps_the_action() -> None:
    async def story() -> None:
        here = Installation()
        told = Reported(
            organisation="o", credential="c", action="a", is_ok=True, result=b"{}", error=""
        )
        here.workers[1].keeps_action = True
        assert await here.ask(ReportAction(told)) == ActionTaken(is_taken=True)
        assert await here.ask(ReportAction(told), worker=1) == ActionTaken(is_taken=False)

    asyncio.run(story())

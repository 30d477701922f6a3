import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
from tests.approvals import desk
from tests.enforcement.workshop import LISTED, RESULT, Workshop, crm, definition, shop
from tests.gateways.world import agent, organisation, usd

from ringfence.decisions.failure_rule import Failed
from ringfence.domain.agent import AgentState, Autonomy, Limits, Scope
from ringfence.domain.approval import Approval, ApprovalState, Vote
from ringfence.domain.budget import Per
from ringfence.domain.event import Hold, Status
from ringfence.domain.model import Pace
from ringfence.domain.organisation import User
from ringfence.domain.tool import PermissionTier
from ringfence.domain.tool_rule import ToolFailure, ToolRules
from ringfence.domain.user import Principal
from ringfence.domain.verdict import Code, Deny, Reason, Stop, Throttle
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.holding import Holdable
from ringfence.enforcement.live import LiveInvocation, Refusable
from ringfence.enforcement.narrowing import Narrowing
from ringfence.enforcement.refusal import RefusedAction
from ringfence.enforcement.tool_inspection import Inspected
from ringfence.enforcement.tool_knock import ToolKnock
from ringfence.enforcement.tool_registry import pin_at
from ringfence.enforcement.tool_ticket import ToolEnding, ToolTicket
from ringfence.testing.clock import ManualClock
from ringfence.testing.ids import SequentialIds

REFUND = {"order": "o1", "amount": 5}


class Held:
    """A workshop with a desk, and a refund that is held at it."""

    def __init__(self, approvers: frozenset[str] = frozenset({"user:ann"})) -> None:
        clock = ManualClock()
        self.desk = desk(clock, SequentialIds(), approvers=approvers)
        self.workshop = Workshop(approvals=self.desk, clock=clock)
        self.knock = self.workshop.knock("refund", arguments=REFUND)

    async def hold(self) -> Approval:
        held = await self.workshop.path.hold(
            self.knock, self.workshop.holdable("refund", arguments=REFUND)
        )
        assert isinstance(held, Approval)
        return held

    async def say(self, held: Approval, *, yes: bool = True) -> None:
        ballot = Vote(user="user:ann", approves=yes, at_us=self.workshop.world.clock.now_us())
        await self.desk.decide("org_acme", held.id, ballot)

    async def again(self, held: Approval, **more: Any) -> object:  # noqa: ANN401 (fields)
        """The same call with its approval, as a door makes it."""
        knock = msgspec.structs.replace(self.knock, approval=held.id, **more)
        return await self.workshop.path.begun(knock)


def refused(found: object) -> Reason:
    assert isinstance(found, RefusedAction)
    return found.verdict.reason


def test_a_call_leaves_an_intent_and_then_its_outcome() -> None:
    async def story() -> None:
        shop_ = Workshop()
        ticket = await shop_.call("get_job", arguments={"id": 7})
        assert isinstance(ticket, ToolTicket)
        assert ticket.quote.tier is PermissionTier.READ
        [intent], [outcome] = shop_.ledger.intents, shop_.ledger.outcomes
        assert (intent.action_kind, intent.resource) == ("tool.call", "crm__get_job")
        assert (intent.operation, intent.upstream) == ("tools/call", "crm")
        assert (outcome.action, outcome.status) == (intent.action, Status.OK)
        assert shop_.ledger.bodies[f"Intent {intent.action}"] == b'{"id":7}'
        assert shop_.ledger.bodies[f"Outcome {intent.action}"] == RESULT
        shop_.world.check_books()

    asyncio.run(story())


def test_what_is_out_of_scope_reads_like_what_does_not_exist() -> None:
    async def story() -> None:
        narrow = Scope(tools=("crm__get_*",))
        shop_ = Workshop(shop({"crm": crm(), "mail": crm(name="mail")}, scope=narrow))
        beyond = refused(shop_.begin("refund"))
        other = refused(shop_.begin("refund", key=replace(shop_.knock().key, server="mail")))
        nowhere = refused(shop_.begin("refund", key=replace(shop_.knock().key, server="none")))
        assert {each.code for each in (beyond, other, nowhere)} == {Code.TOOL_UNKNOWN}
        assert beyond.message.replace("crm__get_job", "crm__refund") == beyond.message
        assert other.message.replace("mail__", "none__") == nowhere.message
        assert beyond.message.replace("crm__refund", "none__get_job") == nowhere.message
        assert not shop_.ledger.intents

    asyncio.run(story())


def test_a_tree_makes_so_many_tool_calls_and_no_more() -> None:
    async def story() -> None:
        shop_ = Workshop(shop(limits=Limits(tool_calls=2, calls_per_tool=2)))
        assert isinstance(await shop_.call("get_job"), ToolTicket)
        assert isinstance(await shop_.call("get_client"), ToolTicket)
        over = await shop_.call("get_other")
        assert isinstance(over, Reason)
        assert dict(over.facts)["limit"] == "tool_calls"
        assert isinstance(await shop_.call("get_other", run="run-2"), ToolTicket)

    asyncio.run(story())


def test_one_tool_is_called_so_often_and_no_more() -> None:
    async def story() -> None:
        shop_ = Workshop(shop(limits=Limits(calls_per_tool=2)))
        for _ in range(2):
            assert isinstance(await shop_.call("get_job"), ToolTicket)
        over = await shop_.call("get_job")
        assert isinstance(over, Reason)
        assert dict(over.facts) | {"ask": ""} == {
            "limit": "calls_per_tool",
            "allowed": "2",
            "ask": "",
        }
        assert "`crm__get_job`" in over.message
        assert isinstance(await shop_.call("get_client"), ToolTicket)

    asyncio.run(story())


def test_tool_calls_and_model_calls_are_counted_apart() -> None:
    async def story() -> None:
        shop_ = Workshop(shop(limits=Limits(tool_calls=1, model_calls=1)))
        headers = {"ringfence-invocation": "run-1"}
        assert isinstance(await shop_.call(), ToolTicket)
        assert (await shop_.world.ask(headers=headers)).status == 200
        assert isinstance(await shop_.call(), Reason)
        assert (await shop_.world.ask(headers=headers)).status == 402
        assert len({each.invocation for each in shop_.ledger.intents}) == 1

    asyncio.run(story())


def test_what_a_user_may_use_takes_away_from_the_agent() -> None:
    async def story() -> None:
        plain = shop()
        ann = User(name="ann", id="user_ann", tools=("crm__get_*",), calls_per_minute=1)
        shop_ = Workshop(replace(plain, users={**plain.users, "ann": ann}))
        caller = shop_.caller()
        principal = Principal(id="user_ann", name="ann")
        anns = Caller(
            runtime=caller.runtime.used_by((caller.tier,), principal),
            credential=caller.credential,
            chain=("user_ann", *caller.chain),
        )
        assert refused(shop_.begin("refund", caller=anns)).code is Code.TOOL_UNKNOWN
        assert isinstance(shop_.begin("get_job", caller=anns), ToolTicket)
        again = shop_.begin("get_job", caller=anns)
        assert isinstance(again, RefusedAction)
        assert isinstance(again.verdict, Throttle)

    asyncio.run(story())


def test_the_patterns_of_every_token_above_hold() -> None:
    async def story() -> None:
        shop_ = Workshop(shop(limits=Limits(depth=2, sub_agents=2)))
        invocations, now_us = shop_.world.worker.invocations, shop_.world.clock.now_us()
        outer = invocations.open_declared(
            shop_.caller(), "", Narrowing(tools=("crm__get_*",)), b"1" * 32, now_us
        )
        directory = shop_.world.worker.directory
        above = directory.identify(b"1" * 32, 0)
        assert isinstance(above, Caller)
        invocations.open_declared(above, "", Narrowing(tools=("crm__*_job",)), b"2" * 32, now_us)
        below = directory.identify(b"2" * 32, 0)
        assert isinstance(below, Caller)
        assert outer is not None
        assert isinstance(shop_.begin("get_client", caller=above, hints=()), ToolTicket)
        assert isinstance(shop_.begin("get_job", caller=below, hints=()), ToolTicket)
        for name in ("get_client", "add_job"):
            assert refused(shop_.begin(name, caller=below, hints=())).code is Code.TOOL_UNKNOWN

    asyncio.run(story())


def test_a_suspended_agent_calls_nothing() -> None:
    async def story() -> None:
        shop_ = Workshop()
        await shop_.world.suspend()
        assert refused(shop_.begin()).code is Code.AGENT_SUSPENDED
        await shop_.world.suspend(state=AgentState.ACTIVE)
        ticket = shop_.begin()
        assert isinstance(ticket, ToolTicket)
        await shop_.world.suspend()
        held = shop_.path.written(ticket)
        assert held is not None
        assert held.verdict.reason.code is Code.AGENT_SUSPENDED
        assert [each.status for each in shop_.ledger.outcomes] == [Status.CUT]

    asyncio.run(story())


def test_a_call_whose_intent_is_not_written_is_not_made_and_not_counted() -> None:
    async def story() -> None:
        shop_ = Workshop(shop(limits=Limits(tool_calls=1)))
        shop_.ledger.is_failing = True
        ticket = shop_.begin()
        assert isinstance(ticket, ToolTicket)
        unwritten = shop_.path.written(ticket)
        assert unwritten is not None
        assert unwritten.verdict.reason.code is Code.STORE_UNAVAILABLE
        shop_.ledger.is_failing = False
        assert isinstance(await shop_.call(), ToolTicket)
        assert isinstance(await shop_.call(), Reason)

    asyncio.run(story())


def test_an_unexpected_failure_denies() -> None:
    async def story() -> None:
        shop_ = Workshop()
        broken = shop_.begin(hints=(("one",),))
        assert refused(broken).code is Code.INTERNAL

    asyncio.run(story())


def test_a_stopped_run_makes_no_more_tool_calls() -> None:
    async def story() -> None:
        shop_ = Workshop()
        ticket = await shop_.go()
        shop_.path.stop_invocation(ticket.live, Reason(code=Code.LIMIT_REACHED, message="Over."))
        stopped = shop_.begin()
        assert isinstance(stopped, RefusedAction)
        assert isinstance(stopped.verdict, Stop)

    asyncio.run(story())


def test_an_overdrawn_budget_lets_no_tool_call_through() -> None:
    async def story() -> None:
        shop_ = Workshop(shop(budgets=(usd(0.0001, Per.DAY),)))
        assert isinstance(await shop_.call(), ToolTicket)
        poor = agent(scope=Scope(tools=("crm__*",)), budgets=(usd(-1, Per.DAY),))
        await shop_.world.reload(organisation(tools={"crm": crm()}, agents={"triage": poor}))
        assert refused(shop_.begin()).code is Code.BUDGET_EXHAUSTED

    asyncio.run(story())


def test_a_held_call_goes_on_once_when_a_person_has_approved_it() -> None:
    async def story() -> None:
        place = Held()
        held = await place.hold()
        ledger = place.workshop.ledger
        [hold] = [each for each in ledger.events if isinstance(each, Hold)]
        assert (hold.approval, hold.resource) == (held.id, "crm__refund")
        assert ledger.bodies[f"Hold {hold.action}"] == b'{"order":"o1","amount":5}'
        early = refused(await place.again(held))
        assert early.code is Code.APPROVAL_PENDING
        await place.say(held)
        ticket = await place.again(held)
        assert isinstance(ticket, ToolTicket)
        used = await place.desk.find("org_acme", held.id)
        assert used is not None
        assert (used.state, used.action) == (ApprovalState.CONSUMED, ticket.action)
        assert ticket.intent.approval == held.id
        assert refused(await place.again(held)).code is Code.APPROVAL_MISMATCH
        assert len(ledger.intents) == 1

    asyncio.run(story())


def test_a_denied_call_says_so_and_is_not_made() -> None:
    async def story() -> None:
        place = Held()
        held = await place.hold()
        await place.say(held, yes=False)
        assert refused(await place.again(held)).code is Code.APPROVAL_DENIED
        assert not place.workshop.ledger.intents

    asyncio.run(story())


def test_other_arguments_and_another_run_are_something_else() -> None:
    async def story() -> None:
        place = Held()
        held = await place.hold()
        await place.say(held)
        more = b'{"order":"o1","amount":500}'
        hints = (("ringfence-invocation", "run-2"),)
        for changed in ({"arguments": more}, {"hints": hints}):
            assert refused(await place.again(held, **changed)).code is Code.APPROVAL_MISMATCH
        assert isinstance(await place.again(held), ToolTicket)

    asyncio.run(story())


def meanwhile(place: Held, happens: Callable[[], None]) -> None:
    """Let something happen between the use of an approval and what it is used for."""
    consume = place.desk.consume

    async def used(*asked: Any) -> Approval | Deny:  # noqa: ANN401 (as it is)
        found = await consume(*asked)
        happens()
        return found

    place.desk.consume = used  # type: ignore[method-assign, assignment] # what a slow link does


def test_what_changes_while_an_approval_is_used_ends_it() -> None:
    async def story() -> None:
        place = Held()
        held = await place.hold()
        await place.say(held)
        tools = place.workshop.world.worker.tools

        def accepted() -> None:
            """Somebody accepts another definition of the tool."""
            other = definition("refund", LISTED["refund"], description="Refunds to anybody.")
            place.workshop.list(other)
            source = tools.source("org_acme", "crm")
            assert source is not None
            tools.take(msgspec.structs.replace(source, pins=(pin_at(source.listing, other),)))

        meanwhile(place, accepted)
        assert refused(await place.again(held)).code is Code.APPROVAL_MISMATCH
        assert place.workshop.ledger.intents == []

    asyncio.run(story())


def test_a_doubt_that_nobody_was_shown_is_not_answered_by_an_approval() -> None:
    async def story() -> None:
        place = Held()
        held = await place.hold()
        live = place.workshop.holdable("refund", arguments=REFUND).live
        await place.say(held)
        live.tree.doubts["act_0"] = "after `crm__add_job`: it is not there"
        why = refused(await place.again(held))
        assert why.code is Code.APPROVAL_MISMATCH
        assert "it is not there" in why.message
        assert live.tree.doubts
        # Asked again, the person sees it; then it is answered.
        second = await place.hold()
        assert "after `crm__add_job`: it is not there" in second.reasons
        await place.say(second)
        assert isinstance(await place.again(second), ToolTicket)
        assert not live.tree.doubts

    asyncio.run(story())


def test_a_suspended_agent_gets_nothing_for_its_approval() -> None:
    async def story() -> None:
        place = Held()
        held = await place.hold()
        await place.say(held)
        await place.workshop.world.suspend()
        assert refused(await place.again(held)).code is Code.AGENT_SUSPENDED
        still = await place.desk.find("org_acme", held.id)
        assert still is not None
        assert still.state is ApprovalState.APPROVED

    asyncio.run(story())


def test_who_has_used_up_a_limit_is_not_asked_about() -> None:
    async def story() -> None:
        workshop = Workshop(shop(limits=Limits(calls_per_tool=0)))
        found = refused(workshop.begin("refund", arguments=REFUND))
        assert found.code is Code.LIMIT_REACHED

    asyncio.run(story())


def test_a_listing_shows_what_could_be_called_and_nothing_else() -> None:
    async def story() -> None:
        config = shop(scope=Scope(tools=("crm__get_*", "crm__add_job")), autonomy=Autonomy.OBSERVE)
        workshop = Workshop(config)
        adding = definition("add_job", LISTED["add_job"])
        workshop.list(definition("get_job"), definition("get_client"), adding)
        tools = workshop.path.usable(workshop.caller())
        assert not isinstance(tools, Refusable)
        # `get_job` has changed, and who may only look adds nothing.
        assert [tool.key.name for tool in tools] == ["get_client"]
        assert not workshop.path.usable(workshop.caller(), "mail")

    asyncio.run(story())


def test_a_listing_keeps_to_the_token_and_ends_with_its_run() -> None:
    async def story() -> None:
        workshop = Workshop()
        invocations, now_us = workshop.world.worker.invocations, workshop.world.clock.now_us()
        narrowing = Narrowing(tools=("crm__get_job",))
        opened = invocations.open_declared(workshop.caller(), "", narrowing, b"1" * 32, now_us)
        assert isinstance(opened, LiveInvocation)
        caller = workshop.world.worker.directory.identify(b"1" * 32, now_us)
        assert isinstance(caller, Caller)
        tools = workshop.path.usable(caller, "crm")
        assert not isinstance(tools, Refusable)
        assert [tool.key.name for tool in tools] == ["get_job"]
        invocations.finish(opened, now_us)
        assert isinstance(workshop.path.usable(caller, "crm"), Refusable)

    asyncio.run(story())


def test_runs_that_are_alike_are_shown_the_same_tools_as_one_object() -> None:
    async def story() -> None:
        workshop = Workshop()
        invocations, now_us = workshop.world.worker.invocations, workshop.world.clock.now_us()

        def usable(number: int, *patterns: str) -> object:
            narrowing = Narrowing(tools=patterns)
            digest = b"%032d" % number
            invocations.open_declared(workshop.caller(), "", narrowing, digest, now_us)
            caller = workshop.world.worker.directory.identify(digest, now_us)
            assert isinstance(caller, Caller)
            return workshop.path.usable(caller, "crm")

        wide = usable(1, "crm__get_*")
        assert usable(2, "crm__get_*") is wide
        assert usable(3, "crm__get_job") != wide
        for number in range(4, 100):
            usable(number, f"crm__get_{number}")
        kept = workshop.path.quotes._settled[workshop.caller().runtime]  # noqa: SLF001 (memory)
        assert len(kept) <= 64

    asyncio.run(story())


def test_a_circle_is_hinted_at_and_then_stopped_where_only_tools_are_seen() -> None:
    async def story() -> None:
        workshop = Workshop()
        told: list[Inspected] = []
        for _ in range(8):
            ticket = await workshop.go("get_job", arguments={"id": 7})
            found = workshop.path.inspect(ticket, RESULT)
            assert isinstance(found, Inspected)
            ticket.settle(found.ending())
            told.append(found)
        hints = [b"Note from Ringfence" in each.result for each in told]
        assert hints == [False, False, True, True, True, True, True, False]
        assert told[-1].error == Code.LOOP_DETECTED
        stopped = workshop.begin()
        assert isinstance(stopped, RefusedAction)
        assert isinstance(stopped.verdict, Stop)
        assert workshop.ledger.changes.count("finding.loop") == 2

    asyncio.run(story())


def test_what_changes_is_no_circle() -> None:
    async def story() -> None:
        workshop = Workshop()
        for number in range(20):
            ticket = await workshop.go("get_job", arguments={"id": 7})
            raw = b'{"content":[{"type":"text","text":"%d"}]}' % number
            found = workshop.path.inspect(ticket, raw)
            assert isinstance(found, Inspected)
            assert found.result == raw
            ticket.settle(found.ending())

    asyncio.run(story())


def test_where_the_conversation_is_seen_nothing_is_said_twice() -> None:
    async def story() -> None:
        workshop = Workshop()
        for _ in range(10):
            ticket = await workshop.go("get_job")
            ticket.live.conversations = OrderedDict()
            found = workshop.path.inspect(ticket, RESULT)
            assert isinstance(found, Inspected)
            assert found.result == RESULT
            ticket.settle(found.ending())

    asyncio.run(story())


def test_a_call_that_is_refused_again_and_again_ends_the_run() -> None:
    async def story() -> None:
        workshop = Workshop(shop(scope=Scope(tools=("crm__get_*",))))
        codes = [refused(workshop.begin("refund")).code for _ in range(9)]
        assert codes[:8] == [Code.TOOL_UNKNOWN] * 8
        assert codes[8] is Code.LOOP_DETECTED
        assert isinstance(workshop.begin("get_job", run="run-2"), ToolTicket)

    asyncio.run(story())


def test_the_record_says_what_a_result_is() -> None:
    async def story() -> None:
        rules = ToolRules(labels=(("get_*", frozenset({"untrusted", "personal"})),))
        workshop = Workshop(shop({"crm": crm(rules=rules)}))
        await workshop.call("get_job")
        await workshop.call("add_job")
        labels = [each.labels for each in workshop.ledger.outcomes]
        assert labels == [["personal", "untrusted"], []]

    asyncio.run(story())


def _paced(**fields: float) -> Workshop:
    return Workshop(shop({"crm": crm(pace=Pace(**fields))}))  # type: ignore[arg-type] # figures


async def _going(workshop: Workshop, knock: ToolKnock) -> ToolTicket | RefusedAction:
    begun = await workshop.path.begun(knock)
    assert isinstance(begun, ToolTicket | RefusedAction)
    return begun


def test_calls_of_a_paced_server_wait_for_their_turn_and_hold_nothing_meanwhile() -> None:
    async def story() -> None:
        workshop = _paced(concurrent=2)
        knocks = [workshop.knock("get_job", arguments={"id": number}) for number in range(4)]
        tasks = [asyncio.create_task(_going(workshop, knock)) for knock in knocks]
        await asyncio.sleep(0.05)
        assert [task.done() for task in tasks] == [True, True, False, False]
        assert len(workshop.ledger.intents) == 2
        for task in tasks:
            ticket = await asyncio.wait_for(task, 60)
            assert isinstance(ticket, ToolTicket)
            ticket.settle(ToolEnding(status=Status.OK, result=RESULT))
        assert len(workshop.ledger.intents) == 4
        workshop.world.check_books()

    asyncio.run(story())


def test_who_waits_too_long_is_told_when_to_come_again() -> None:
    async def story() -> None:
        workshop = _paced(concurrent=1, queue_seconds=0.05)
        first = workshop.ticket("get_job")
        refused = await _going(workshop, workshop.knock("get_client"))
        assert isinstance(refused, RefusedAction)
        assert isinstance(refused.verdict, Throttle)
        assert "tool `crm`" in refused.verdict.reason.message
        first.settle(ToolEnding(status=Status.OK, result=RESULT))
        assert isinstance(await _going(workshop, workshop.knock("get_client")), ToolTicket)

    asyncio.run(story())


def test_what_a_person_must_approve_takes_no_place_before() -> None:
    async def story() -> None:
        workshop = _paced(concurrent=1)
        workshop.ticket("get_job")
        assert isinstance(workshop.path.begin(workshop.knock("refund")), Holdable)

    asyncio.run(story())


def test_a_paced_server_that_asks_to_be_left_alone_is() -> None:
    async def story() -> None:
        workshop = _paced(concurrent=5, queue_seconds=0.05)
        ticket = workshop.ticket("get_job")
        failed = Failed(failure=ToolFailure.RATE_LIMITED, http_status=429, retry_after_s=1e9)
        workshop.path.failed(ticket, failed)
        refused = await _going(workshop, workshop.knock("get_client"))
        assert isinstance(refused, RefusedAction)
        assert isinstance(refused.verdict, Throttle)
        assert 0 < refused.verdict.retry_after_s <= 300

    asyncio.run(story())

import asyncio
from dataclasses import replace

from tests.enforcement.workshop import RESULT, Workshop, crm, shop
from tests.gateways.world import agent, organisation, usd

from ringfence.domain.agent import AgentState, Limits, Scope
from ringfence.domain.budget import Per
from ringfence.domain.event import Status
from ringfence.domain.organisation import User
from ringfence.domain.tool import PermissionTier
from ringfence.domain.user import Principal
from ringfence.domain.verdict import Code, Reason, Stop, Throttle
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.narrowing import Narrowing
from ringfence.enforcement.refusal import RefusedAction
from ringfence.enforcement.tool_ticket import ToolTicket


def refused(found: object) -> Reason:
    assert isinstance(found, RefusedAction)
    return found.verdict.reason


def test_a_call_leaves_an_intent_and_then_its_outcome() -> None:
    async def story() -> None:
        shop_ = Workshop()
        ticket = await shop_.call("get_job", arguments={"id": 7})
        assert isinstance(ticket, ToolTicket)
        assert ticket.permission is PermissionTier.READ
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

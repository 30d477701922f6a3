import asyncio

import msgspec
from tests.enforcement.fleet import Fleet
from tests.gateways.world import TOKEN, agent, organisation

from ringfence.domain.agent import Limits
from ringfence.domain.invocation import Grouping, Invocation, InvocationState
from ringfence.domain.registry import Card, End
from ringfence.domain.verdict import Code, Reason
from ringfence.enforcement.invocation_view import InvocationView

RUN = {"ringfence-invocation": "r"}
CAUSE = Reason(code=Code.BUDGET_EXHAUSTED, message="The money is gone.")


def view_of(fleet: Fleet, number: int) -> InvocationView:
    view = fleet.workers[number].worker.view
    assert view is not None
    return view


async def shared(fleet: Fleet) -> str:
    """A run that every worker knows."""
    names = {
        (await world.ask(headers=RUN)).headers[b"ringfence-invocation"] for world in fleet.workers
    }
    (name,) = names
    return name.decode()


def test_a_run_that_one_worker_stops_is_stopped_at_all_with_its_cause() -> None:
    async def story() -> None:
        fleet = Fleet(3)
        run = await shared(fleet)
        view = view_of(fleet, 1)
        live = view.find(run)
        assert live is not None
        view.stop(live, CAUSE, fleet.clock.now_us())
        view.stop(live, CAUSE, fleet.clock.now_us())
        assert [each for each in fleet.told if isinstance(each, End)] == [
            End(invocation=run, cause=CAUSE)
        ]
        for world in fleet.workers:
            refused = await world.ask(headers=RUN)
            assert refused.status == 402
            assert b"The money is gone." in refused.body
            assert world.ledger.refusals[-1].invocation == run

    asyncio.run(story())


def test_a_run_of_an_agent_that_is_not_known_here_yet_is_not_joined() -> None:
    async def story() -> None:
        fleet = Fleet(1)
        view = view_of(fleet, 0)
        identity = Invocation(
            id="inv_9", organisation="org_acme", agent="agt_new", root="inv_9", parent=None,
            depth=0, credential="crd_9", opened_us=1, grouping=Grouping.TOKEN,
        )  # fmt: skip
        view.learn([Card(identity=identity)])
        assert view.find("inv_9") is None

    asyncio.run(story())


def test_what_has_ended_before_it_was_learnt_is_closed_here_too() -> None:
    async def story() -> None:
        fleet = Fleet(1)
        view = view_of(fleet, 0)
        identity = Invocation(
            id="inv_9", organisation="org_acme", agent="agt_triage", root="inv_9", parent=None,
            depth=0, credential="crd_triage", opened_us=1, grouping=Grouping.TOKEN,
        )  # fmt: skip
        view.learn([Card(identity=identity, state=InvocationState.STOPPED, stopped=CAUSE)])
        live = view.find("inv_9")
        assert live is not None
        assert live.closed_reason(0) == CAUSE
        assert len(view) == 0

    asyncio.run(story())


def test_a_narrowed_token_is_as_narrow_at_every_worker() -> None:
    async def story() -> None:
        limits = Limits(depth=1, sub_agents=2, default_output_tokens=100)
        fleet = Fleet(2, organisation(agents={"triage": agent(limits=limits)}))
        opened = await fleet.workers[0].ask(
            "/ringfence/v1/invocations", {"models": ["embed"], "budget": {"usd": 0.5}}, token=TOKEN
        )
        token = msgspec.json.decode(opened.body)["token"]
        refused = await fleet.workers[1].ask(token=token)
        assert refused.status == 403
        live = view_of(fleet, 1).find(msgspec.json.decode(opened.body)["id"])
        assert live is not None
        assert (live.models, live.narrowed) == (frozenset({"embed"}), 500_000_000)

    asyncio.run(story())


def test_calls_that_name_the_same_run_at_the_same_time_ask_once() -> None:
    async def story() -> None:
        fleet = Fleet(2)
        world = fleet.workers[0]
        answers = await asyncio.gather(*(world.ask(headers=RUN) for _ in range(20)))
        assert {each.status for each in answers} == {200}
        assert len({each.headers[b"ringfence-invocation"] for each in answers}) == 1
        assert len(fleet.asked) == 1
        await asyncio.gather(*(world.ask(headers={"ringfence-invocation": n}) for n in "ab"))
        assert len(fleet.asked) == 3

    asyncio.run(story())


def test_after_the_first_run_its_slabs_come_with_a_run() -> None:
    async def story() -> None:
        fleet = Fleet(2, is_lending=True)
        asked = []
        for number in range(3):
            for _ in range(10):
                named = {"ringfence-invocation": f"run-{number}"}
                assert (await fleet.workers[0].ask(headers=named)).status == 200
            asked.append(fleet.lending.taken)
        assert asked[0] > 0
        assert asked[2] == asked[1] == asked[0]
        assert len(fleet.asked) == 3

    asyncio.run(story())


def test_calls_that_waited_for_an_answer_that_never_came_are_refused() -> None:
    async def story() -> None:
        fleet = Fleet(1)
        fleet.is_answering = False
        answers = await asyncio.gather(*(fleet.workers[0].ask(headers=RUN) for _ in range(5)))
        assert {each.status for each in answers} == {503}
        fleet.is_answering = True
        assert (await fleet.workers[0].ask(headers=RUN)).status == 200

    asyncio.run(story())


def test_what_a_tree_has_read_is_known_to_every_worker_and_to_those_that_learn_later() -> None:
    async def story() -> None:
        fleet = Fleet(3)
        first = (await fleet.workers[0].ask(headers=RUN)).headers[b"ringfence-invocation"].decode()
        second = (await fleet.workers[1].ask(headers=RUN)).headers[b"ringfence-invocation"].decode()
        assert first == second
        live = view_of(fleet, 0).find(first)
        assert live is not None
        live.tree.seen |= {"untrusted"}
        live.tree.doubts["act_1"] = "it is not paid"
        view_of(fleet, 0).mark(live)
        await fleet.workers[2].ask(headers=RUN)
        for number in (1, 2):
            known = view_of(fleet, number).find(first)
            assert known is not None
            assert (known.tree.seen, known.tree.doubts) == (
                frozenset({"untrusted"}),
                {"act_1": "it is not paid"},
            )
        other = view_of(fleet, 1).find(first)
        assert other is not None
        other.tree.doubts.clear()
        view_of(fleet, 1).mark(other, is_cleared=True)
        assert not live.tree.doubts
        assert live.tree.seen == {"untrusted"}

    asyncio.run(story())

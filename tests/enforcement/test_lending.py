import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace

import msgspec
import pytest
from tests.enforcement.fleet import Fleet
from tests.enforcement.office import Office
from tests.gateways.world import (
    NANO,
    RATES,
    agent,
    chat,
    chat_answer,
    code_of,
    model,
    organisation,
    usd,
    whole,
)

from ringfence.decisions.charge import user_of
from ringfence.decisions.limit import counted
from ringfence.decisions.reservation import Reservation
from ringfence.domain.agent import Limits
from ringfence.domain.budget import Budget, Per, Unit
from ringfence.domain.lease import Holder, Need
from ringfence.domain.money import Money
from ringfence.domain.organisation import Organisation, UserDefaults
from ringfence.domain.price import RateCard
from ringfence.domain.user import Principal
from ringfence.enforcement import action_path, lending
from ringfence.enforcement.lack import Lack, LackingSlabs, Supplied, Wanting

COST = 50 * 10_000
"""Of a call that uses all the output it may."""


@pytest.fixture(autouse=True)
def _is_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who answers is waited for, on whatever machine."""
    monkeypatch.setattr(lending, "RECALL_S", 60.0)
    monkeypatch.setattr(action_path, "SUPPLY_S", 60.0)


def run(story: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(story())


def config(budget_nano: int, *, limits: Limits | None = None) -> Organisation:
    """One agent with this budget in all; only output costs."""
    card = RateCard(rates=replace(RATES, input=0))
    budget = Budget(limit=Money(budget_nano), per=Per.TOTAL)
    return organisation(
        budgets=(usd(100, Per.MONTH),),
        models={"small": model("small", price=card)},
        agents={
            "triage": agent(budgets=(budget,), limits=limits or Limits(default_output_tokens=100))
        },
    )


def answering_all(office: Office, output: int = 50) -> None:
    for world in office.worlds:

        async def answer(_sent: object) -> object:
            await office.travel()
            return whole(chat_answer(5, output))

        world.providers.answering = answer  # type: ignore[assignment] # an upstream


@pytest.mark.parametrize("seed", range(4))
def test_a_budget_for_exactly_fifty_lets_exactly_fifty_through_four_workers(seed: int) -> None:
    async def story() -> None:
        office = Office(config(50 * COST), 4, seed)
        answering_all(office)
        asking = [office.worlds[number % 4].ask(body=chat(f"q{number}")) for number in range(200)]
        statuses = [response.status for response in await asyncio.gather(*asking)]
        assert statuses.count(200) == 50
        assert statuses.count(402) == 150
        assert sum(len(world.providers.sent) for world in office.worlds) == 50
        office.tidy()
        [line] = [
            line
            for line in office.lending.broker.standing("org_acme", office.clock.now_us())
            if line.key.per is Per.TOTAL
        ]
        assert (line.spent, line.reserved, line.left) == (50 * COST, 0, 0)

    run(story)


def test_one_call_after_the_other_over_four_workers_uses_up_a_budget_exactly() -> None:
    async def story() -> None:
        office = Office(config(50 * COST), 4)
        answering_all(office)
        statuses = [
            (await office.worlds[number % 4].ask(body=chat(f"q{number}"))).status
            for number in range(80)
        ]
        assert statuses == [200] * 50 + [402] * 30

    run(story)


def test_idle_slabs_are_recalled_before_a_call_is_refused_or_cut_short() -> None:
    async def story() -> None:
        office = Office(config(2 * COST), 2)
        answering_all(office, output=10)
        one, other = office.worlds
        assert (await one.ask()).status == 200
        # All that is left is needed, and a part of it lies idle with the first.
        answer = await other.ask(body=chat("big", max_tokens=90))
        assert answer.status == 200
        [intent] = other.ledger.intents
        assert intent.output_limit == 90
        assert intent.decision.obligations == []

    run(story)


def test_the_output_limit_is_lowered_only_when_nothing_more_can_be_had() -> None:
    async def story() -> None:
        office = Office(config(2 * COST), 2)
        answering_all(office, output=10)
        one, other = office.worlds
        assert (await one.ask()).status == 200
        answer = await other.ask(body=chat("huge", max_tokens=99))
        assert answer.status == 200
        assert other.ledger.intents[0].output_limit == 90

    run(story)


def test_a_worker_that_does_not_answer_delays_others_but_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lending, "RECALL_S", 0.05)

    async def story() -> None:
        office = Office(config(2 * COST), 2)
        answering_all(office, output=50)
        one, other = office.worlds
        office.wires[0].is_silent = True
        assert (await one.ask()).status == 200
        async with asyncio.timeout(60):
            answer = await other.ask(body=chat("big", max_tokens=90))
        # With what is there: fail closed, not over the limit.
        assert answer.status in {200, 402}
        spent = sum(int(each.cost_nano) for w in office.worlds for each in w.ledger.outcomes)
        assert spent <= 2 * COST

    run(story)


def test_without_its_lender_a_worker_denies_what_it_was_not_lent() -> None:
    async def story() -> None:
        office = Office(config(50 * COST), 1)
        answering_all(office)
        [world] = office.worlds
        run_1 = {"ringfence-invocation": "run-1"}
        assert (await world.ask(headers=run_1)).status == 200
        office.wires[0].is_cut = True
        answers = [await world.ask(headers=run_1) for _ in range(30)]
        statuses = [answer.status for answer in answers]
        first = statuses.index(503)
        assert statuses == [200] * first + [503] * (30 - first)
        assert first > 5
        assert code_of(answers[-1]) == "store_unavailable"

    run(story)


def test_a_hundred_calls_of_a_run_ask_for_slabs_five_times_at_most() -> None:
    async def story() -> None:
        office = Office(config(5 * NANO), 2)
        answering_all(office, output=5)
        world = office.worlds[0]
        for number in range(100):
            answer = await world.ask(
                body=chat(f"q{number}"), headers={"ringfence-invocation": "run-1"}
            )
            assert answer.status == 200
        assert office.round_trips <= 5

    run(story)


def test_what_a_dead_worker_held_stays_out_of_reach_until_its_ledger_is_read() -> None:
    async def story() -> None:
        office = Office(config(2 * COST), 2)
        answering_all(office, output=50)
        one, other = office.worlds
        assert (await one.ask()).status == 200
        office.lending.died(Holder("w0.1"))
        assert (await other.ask(body=chat("q", max_tokens=99))).status in {200, 402}
        office.lending.prove(Holder("w0.1"), [])
        assert (await other.ask(body=chat("r", max_tokens=40))).status == 200

    run(story)


def test_a_lowered_limit_holds_at_once_for_what_was_lent_before() -> None:
    async def story() -> None:
        office = Office(config(50 * COST), 2)
        answering_all(office)
        one, other = office.worlds
        for world in (one, other):
            assert (await world.ask()).status == 200
        for world in (one, other):
            await world.reload(config(2 * COST))
        for world in (one, other):
            assert (await world.ask(body=chat("more"))).status == 402

    run(story)


def test_fifty_sub_agents_make_exactly_the_calls_that_their_root_may_make() -> None:
    async def story() -> None:
        limits = Limits(model_calls=70, depth=1, sub_agents=50, default_output_tokens=100)
        fleet = Fleet(4, config(10_000 * COST, limits=limits), is_lending=True)
        path = "/ringfence/v1/invocations"
        opened = msgspec.json.decode((await fleet.workers[0].ask(path, {})).body)
        children = [
            msgspec.json.decode(
                (await fleet.workers[number % 4].ask(path, {}, token=opened["token"])).body
            )
            for number in range(50)
        ]
        one_more = await fleet.workers[1].ask(path, {}, token=opened["token"])
        assert (one_more.status, code_of(one_more)) == (402, "limit_reached")
        asking = [
            fleet.workers[(number + at) % 4].ask(body=chat(f"{number} {at}"), token=child["token"])
            for number, child in enumerate(children)
            for at in range(3)
        ]
        answers = await asyncio.gather(*asking)
        passed = [answer for answer in answers if answer.status == 200]
        assert len(passed) == 70
        refused = {(each.status, code_of(each)) for each in answers if each.status != 200}
        assert refused == {(402, "limit_reached")}
        assert sum(len(world.providers.sent) for world in fleet.workers) == 70
        fleet.tidy()
        [line] = fleet.broker.standing(
            "org_acme", fleet.clock.now_us(), frozenset({Unit.MODEL_CALLS})
        )
        assert (line.key.holder, line.limit, line.spent) == (opened["id"], 70, 70)

    run(story)


def test_first_ever_parallel_calls_of_an_unknown_user_meet_the_default_rate() -> None:
    async def story() -> None:
        acme = config(10_000 * COST)
        principal = Principal(id="user_new", name="new@acme.example")
        user = user_of(replace(acme, default_user=UserDefaults(calls_per_minute=5)), principal)
        fleet = Fleet(4, acme, is_lending=True)
        counts = counted("org_acme", "inv_1", acme.agents["triage"], user).calls[1:]

        async def call(number: int) -> bool:
            slabs = fleet.workers[number % 4].worker.slabs
            assert slabs is not None
            is_final = False
            while True:
                reserved = slabs.book.reserve((), Money(0), fleet.clock.now_us(), counts)
                if isinstance(reserved, Reservation) or is_final:
                    return isinstance(reserved, Reservation)
                wanting = Wanting((), Money(0), fleet.clock.now_us(), counts)
                lacking = LackingSlabs(
                    lack=Lack.LEASE,
                    organisation="org_acme",
                    wants=slabs.book.wants(*wanting),
                    agent="agt_1",
                    need=Need(amount=1, tokens=1),
                    call=wanting,
                )
                is_final = await slabs.supply(lacking) is Supplied.ALL

        passed = await asyncio.gather(*(call(number) for number in range(40)))
        assert sum(passed) == 5

    run(story)

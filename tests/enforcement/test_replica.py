import asyncio
from collections.abc import Sequence

import pytest
from tests.gateways.world import MemoryLedger, organisation
from tests.planes import Commons, MemoryRuns, in_thread

from ringfence.decisions.lease import Broker
from ringfence.domain.error import UnavailableError
from ringfence.domain.organisation import Configuration, Organisation
from ringfence.domain.registry import Card, Clue, Declare, End, Resolve, Who
from ringfence.enforcement.directory import Directory
from ringfence.enforcement.registry import Registry
from ringfence.enforcement.replica import Replica
from ringfence.enforcement.shared_invocations import SharedInvocations
from ringfence.testing.clock import ManualClock
from ringfence.testing.ids import SequentialIds

WHO = Who(agent="agt_triage", credential="crd_1")


class Plane:
    """A plane's registry, and what it learns."""

    def __init__(
        self, commons: Commons, name: str, ids: SequentialIds, acme: Organisation | None = None
    ) -> None:
        clock = ManualClock()
        self.directory = Directory()
        self.configure(acme or organisation())
        self.invocations = SharedInvocations(
            directory=self.directory, book=Broker(), ledger=MemoryLedger(), clock=clock, ids=ids
        )
        self.registry = Registry(
            directory=self.directory,
            invocations=self.invocations,
            clock=clock,
            tell=lambda _worker, _ended: None,
        )
        self.runs = MemoryRuns(commons, name)
        self.learnt: list[Card] = []
        self.replica = Replica(
            registry=self.registry,
            invocations=self.invocations,
            runs=self.runs,
            plane=name,
            in_thread=in_thread,
            on_learnt=self._learnt,
        )

    def configure(self, acme: Organisation) -> None:
        made = Configuration(organisations={"acme": acme}, digest="sha256:1", epoch=1)
        self.directory.install(made, {})

    def _learnt(self, cards: Sequence[Card]) -> None:
        self.learnt.extend(cards)

    async def resolve(self, header: str) -> str:
        resolve = Resolve(who=WHO, clue=Clue(header=header))
        answer = await self.replica.decide(lambda: self.registry.resolve(1, resolve))
        return answer.cards[-1].identity.id


def pair() -> list[Plane]:
    commons, ids = Commons(), SequentialIds()
    return [Plane(commons, name, ids) for name in ("one", "two")]


def test_what_is_decided_together_is_told_together() -> None:
    async def story() -> None:
        one, two = pair()
        runs = await asyncio.gather(*(one.resolve(f"t{n}") for n in range(10)))
        assert len(set(runs)) == 10
        assert await two.resolve("t3") == runs[3]
        assert await one.resolve("t3") == runs[3]

    asyncio.run(story())


def test_a_decision_that_fails_is_no_reason_to_refuse_the_others() -> None:
    async def story() -> None:
        one, _ = pair()

        def fail() -> None:
            raise ValueError("planted")

        failing = asyncio.create_task(one.replica.decide(fail))
        assert await one.resolve("t1")
        with pytest.raises(ValueError, match="planted"):
            await failing

    asyncio.run(story())


def test_without_the_database_nothing_is_decided_and_what_happened_is_told_later() -> None:
    async def story() -> None:
        one, two = pair()
        run = await one.resolve("t1")
        one.runs.faults.is_away = True
        live = one.invocations.find(run)
        assert live is not None
        one.invocations.finish(live, 5)
        with pytest.raises(UnavailableError):
            await one.resolve("t2")
        one.runs.faults.is_away = False
        await one.resolve("t3")
        await two.replica.load()
        there = two.invocations.find(run)
        assert there is None, "it has ended"
        await one.replica.close()

    asyncio.run(story())


def test_only_runs_with_a_token_are_told_to_workers_with_what_they_are_part_of() -> None:
    async def story() -> None:
        one, two = pair()
        declare = Declare(who=WHO, task="t", narrowing='{"models":["small"]}', digest=b"d")
        parent = await one.replica.decide(lambda: one.registry.declare(1, declare))
        await one.resolve("t1")
        two.replica.take((await in_thread(two.runs.all))[1])
        [card] = two.learnt
        assert card.identity == parent.cards[-1].identity
        assert card.narrowing == '{"models":["small"]}'
        assert card.token_digest == b"d"

    asyncio.run(story())


def test_a_run_of_an_agent_that_is_not_configured_yet_is_known_once_it_is() -> None:
    async def story() -> None:
        one, _ = pair()
        run = await one.resolve("t1")
        nobody = organisation(agents={})
        two = Plane(one.runs.commons, "two", SequentialIds(), nobody)
        await two.replica.load()
        assert two.invocations.find(run) is None
        two.configure(organisation())
        two.replica.configured()
        assert two.invocations.find(run) is not None

    asyncio.run(story())


def test_who_asks_when_the_plane_ends_is_told() -> None:
    async def story() -> None:
        one, two = pair()
        _, _ = await in_thread(lambda: two.runs.begin(0))  # the other never ends
        asking = asyncio.create_task(one.resolve("t1"))
        await asyncio.sleep(0.05)
        closing = asyncio.create_task(one.replica.close())
        with pytest.raises(UnavailableError):
            await asking
        two.runs.rollback()
        await closing

    asyncio.run(story())


def test_a_sandbox_is_of_the_plane_that_opened_it_until_it_ends() -> None:
    async def story() -> None:
        one, two = pair()
        boxed = Who(agent="agt_triage", credential="sbx_1")
        declare = Declare(who=boxed, task="t", narrowing="", digest=b"d")
        run = await one.replica.decide(lambda: one.registry.declare(1, declare))
        await two.resolve("t1")  # it hears, and has a run that is no sandbox's
        for each in (one, two):
            await each.replica.decide(lambda: None)
            assert each.replica.sandboxes_of("one".__eq__) == {"sbx_1"}
            assert each.replica.sandboxes_of("two".__eq__) == set()
        ended = End(invocation=run.cards[-1].identity.id)
        await two.replica.decide(lambda: two.registry.end(ended))
        for each in (one, two):
            await each.replica.decide(lambda: None)
            assert each.replica.sandboxes_of(lambda _: True) == set()

    asyncio.run(story())

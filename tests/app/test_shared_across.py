import asyncio
from collections.abc import Awaitable, Sequence

import pytest
from tests.app.beginning import beginning
from tests.app.test_shared import WHO, Worker
from tests.approvals import desk
from tests.gateways.world import MemoryLedger, agent, organisation
from tests.planes import Commons, MemoryLimits, MemoryMembership, MemoryRuns, soon

from ringfence.app.message import Learned, Message
from ringfence.app.shared_across import SharedAcross
from ringfence.app.sharing import Sharing
from ringfence.domain.agent import Limits
from ringfence.domain.error import RingfenceError
from ringfence.domain.event import Change
from ringfence.domain.lease import Holder
from ringfence.domain.organisation import Organisation
from ringfence.domain.registry import (
    Clue,
    Declare,
    End,
    Ended,
    Heard,
    Opened,
    Resolve,
    Resolved,
    Who,
)
from ringfence.enforcement.provider_object import Kept
from ringfence.stores.plane import News, Shares
from ringfence.testing.clock import ManualClock
from ringfence.testing.ids import SequentialIds
from ringfence.transport.clock import SystemClock


class Hears:
    """Hears for a plane as `app.hearing` does, without a state store."""

    def __init__(self, across: SharedAcross) -> None:
        self.across = across

    async def hear(self, news: News, /) -> Awaitable[None]:
        self.across.replica.take(news.runs)
        return self.across.obeyed()

    def renew(self) -> None: ...

    def called(self, words: bytes, /) -> None:
        self.across.hear(words)


class PlaneOf:
    """One plane of an installation, with two workers that note what they are told."""

    def __init__(self, commons: Commons, name: str, acme: Organisation, ids: SequentialIds) -> None:
        self.workers = [Worker(1), Worker(2)]
        for worker in self.workers:
            worker.holder = Holder(f"{name}.{worker.number}")
        self.clock = ManualClock()
        self.ledger = MemoryLedger()
        self.runs = MemoryRuns(commons, name)
        self.sharing = Sharing(
            Shares(
                plane=name,
                membership=MemoryMembership(commons, name),
                runs=self.runs,
                limits=MemoryLimits(commons, name),
            ),
            SystemClock(),
        )
        self.across = SharedAcross(
            beginning(self.ledger, desk(self.clock, ids), acme=acme),
            self.clock,
            ids,
            lambda: self.workers,
            self.sharing,
        )

    async def begin(self) -> None:
        logs = [str(worker.holder) for worker in self.workers]
        await self.sharing.join(logs, "sha256:1", lambda _: False)
        await self.across.join(())
        await self.sharing.begin(Hears(self.across))

    async def close(self) -> None:
        await self.across.close()
        await self.sharing.close()

    async def ask(self, message: Message, worker: int = 0) -> Resolved:
        answer = self.across.asked(self.workers[worker], message)
        found = await answer if isinstance(answer, Awaitable) else answer
        assert isinstance(found, Resolved)
        return found

    async def resolve(self, who: Who = WHO, **clue: object) -> str:
        answer = await self.ask(Resolve(who=who, clue=Clue(**clue)))  # type: ignore[arg-type] # of a clue
        assert answer.refusal is None, answer.refusal
        return answer.cards[-1].identity.id

    def changes(self) -> list[str]:
        return [each.what for each in self.ledger.events if isinstance(each, Change)]


async def planes(
    acme: Organisation | None = None, ids: SequentialIds | None = None
) -> Sequence[PlaneOf]:
    commons, ids = Commons(), ids or SequentialIds()
    made = [PlaneOf(commons, name, acme or organisation(), ids) for name in ("one", "two")]
    for each in made:
        await each.begin()
    return made


async def end(made: Sequence[PlaneOf]) -> None:
    for each in made:
        await each.close()


def test_a_run_that_is_named_on_both_planes_at_once_is_one() -> None:
    async def story() -> None:
        made = await planes()
        found = await asyncio.gather(
            *(made[n % 2].resolve(header=f"ticket-{n // 10}") for n in range(40))
        )
        assert [len(set(found[at : at + 10])) for at in range(0, 40, 10)] == [1] * 4
        assert len(set(found)) == 4
        # One of them has put it on record.
        opened = [each for plane in made for each in plane.changes()]
        assert opened == ["invocation.opened"] * 4
        await end(made)

    asyncio.run(story())


def test_a_conversation_is_known_from_where_another_plane_left_it() -> None:
    async def story() -> None:
        one, two = made = await planes()
        run = await one.resolve(chain=(11,))
        one.across.told(one.workers[0], Heard(tips=((run, 12),)))
        one.across.told(one.workers[0], Heard(tips=((run, 13),)))
        await soon(lambda: one.runs.commons.runs[run][1].run.tips == (11, 12, 13))
        assert await two.resolve(chain=(11, 12, 13, 14)) == run
        assert await one.resolve(chain=(11, 12, 13, 14, 15)) == run
        assert await two.resolve(chain=(91,)) != run
        await end(made)

    asyncio.run(story())


def test_a_token_is_given_out_when_the_workers_of_every_plane_know_it() -> None:
    async def story() -> None:
        one, two = made = await planes()
        two.workers[1].may_obey.clear()
        declaring = asyncio.create_task(
            one.ask(Declare(who=WHO, task="t", narrowing="", digest=b"d"))
        )
        await soon(lambda: bool(two.workers[1].heard))
        assert isinstance(two.workers[1].heard[0], Opened)
        assert not declaring.done()
        two.workers[1].may_obey.set()
        run = (await declaring).cards[-1].identity.id
        for worker in (one.workers[1], *two.workers):
            assert [type(each) for each in worker.heard] == [Opened]

        # And it has ended everywhere when that is answered.
        await two.ask(End(invocation=run))
        for plane in made:
            for worker in plane.workers:
                told = worker.heard[-1]
                assert isinstance(told, Ended)
                assert told.invocation == run
        assert [each for plane in made for each in plane.changes()] == [
            "invocation.opened",
            "invocation.finished",
        ]
        child = Who(agent=WHO.agent, credential=WHO.credential, invocation=run)
        refused = await one.ask(Resolve(who=child, clue=Clue()))
        assert refused.refusal is not None
        assert refused.refusal.reason.code.value == "invocation_closed"
        await end(made)

    asyncio.run(story())


def test_a_name_that_was_finished_on_one_plane_stays_closed_on_the_other() -> None:
    async def story() -> None:
        one, two = made = await planes()
        run = await one.resolve(header="ticket-7")
        await one.ask(End(invocation=run))
        answer = await two.ask(Resolve(who=WHO, clue=Clue(header="ticket-7")))
        assert answer.refusal is not None
        assert answer.refusal.reason.code.value == "invocation_closed"
        await end(made)

    asyncio.run(story())


def test_new_runs_and_open_runs_are_limited_over_both_planes() -> None:
    async def story() -> None:
        acme = organisation(agents={"triage": agent(limits=Limits(new_invocations_per_minute=7))})
        made = await planes(acme)
        answers = await asyncio.gather(
            *(made[n % 2].ask(Resolve(who=WHO, clue=Clue(header=f"run-{n}"))) for n in range(20))
        )
        assert sum(each.refusal is None for each in answers) == 7
        await end(made)

    asyncio.run(story())


def test_sub_agents_are_counted_over_both_planes() -> None:
    async def story() -> None:
        acme = organisation(agents={"triage": agent(limits=Limits(depth=1, sub_agents=5))})
        made = await planes(acme)
        declare = Declare(who=WHO, task="t", narrowing="", digest=b"root")
        root = (await made[0].ask(declare)).cards[-1].identity.id
        who = Who(agent=WHO.agent, credential=WHO.credential, invocation=root)
        answers = await asyncio.gather(
            *(
                made[n % 2].ask(Declare(who=who, task="t", narrowing="", digest=f"d{n}".encode()))
                for n in range(12)
            )
        )
        assert sum(each.refusal is None for each in answers) == 5
        await end(made)

    asyncio.run(story())


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_run_that_could_not_be_told_to_the_others_was_never_opened(
    is_lost: bool,  # noqa: FBT001 (a case of the table)
) -> None:
    async def story() -> None:
        one, two = made = await planes()
        if is_lost:
            one.runs.faults.after = 1
        else:
            one.runs.faults.before = 1
        with pytest.raises(RingfenceError):
            await one.resolve(header="ticket-7")
        first = await one.resolve(header="ticket-7")
        assert await two.resolve(header="ticket-7") == first
        # What was begun on the record has an end there.
        opened = one.changes().count("invocation.opened")
        assert opened - one.changes().count("invocation.expired") <= 1
        await end(made)

    asyncio.run(story())


def test_what_one_plane_lets_expire_has_expired_on_the_other() -> None:
    async def story() -> None:
        one, two = made = await planes()
        run = await one.resolve(header="ticket-7")
        await two.resolve(header="ticket-7")
        for each in made:
            each.clock.advance(24 * 3600 * 1_000_000)
            await each.across.tidy()
        expired = [each for plane in made for each in plane.changes()]
        assert expired == ["invocation.opened", "invocation.expired"]
        assert await two.resolve(header="ticket-7") != run
        await end(made)

    asyncio.run(story())


def test_a_plane_that_starts_knows_every_run() -> None:
    async def story() -> None:
        ids = SequentialIds()
        made = list(await planes(ids=ids))
        run = await made[0].resolve(header="ticket-7")
        ended = await made[0].resolve(header="ticket-8")
        await made[0].ask(End(invocation=ended))
        commons = made[0].runs.commons
        made.append(PlaneOf(commons, "three", organisation(), ids))
        await made[2].begin()
        assert await made[2].resolve(header="ticket-7") == run
        answer = await made[2].ask(Resolve(who=WHO, clue=Clue(header="ticket-8")))
        assert answer.refusal is not None
        await end(made)

    asyncio.run(story())


def test_what_workers_have_seen_of_providers_is_told_to_the_others() -> None:
    async def story() -> None:
        one, two = made = await planes()
        kept = Kept(organisation="org_acme", owner="agt_triage", name="resp_1", tokens=1)
        one.across.told(one.workers[0], Learned(kept=(kept,)))
        for worker in two.workers:
            await soon(lambda: bool(worker.heard))  # noqa: B023 (awaited at once)
            assert worker.heard == [Learned(kept=(kept,))]
        assert two.across.learning.all().kept == (kept,)
        assert one.workers[0].heard == []
        await end(made)

    asyncio.run(story())

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.approvals import News, desk, taken
from tests.decisions.test_approval import BINDING

from ringfence.decisions import approval as rule
from ringfence.decisions.approval import Objection
from ringfence.domain.approval import Approval, ApprovalState, Vote
from ringfence.domain.verdict import Code, Deny
from ringfence.enforcement.approval import ApprovalDesk, Asking
from ringfence.stores.state.approval import ApprovalRecords
from ringfence.stores.state.database import open_sqlite
from ringfence.testing.clock import ManualClock
from ringfence.testing.ids import SequentialIds

ASKING = Asking(
    binding=BINDING,
    agent_name="triage",
    reasons=("money leaves the house",),
    seconds=600,
    escalate_to="oncall@acme.example",
)
MINUTE_US = 60_000_000


class Place:
    """A desk, its clock and what it has told."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.news: News = []
        self.kept = ApprovalRecords(open_sqlite(folder))
        self.desk = self.another()

    def another(self) -> ApprovalDesk:
        """One more desk on the same store, as after a restart or in another plane."""
        return desk(self.clock, SequentialIds(), news=self.news, kept=self.kept)

    async def hold(self) -> Approval:
        return taken(await self.desk.hold(ASKING)).approval

    async def say(self, approval: Approval, user: str = "ann", *, yes: bool = True) -> object:
        ballot = Vote(user=f"user:{user}", approves=yes, at_us=self.clock.now_us())
        return await self.desk.decide("org_1", approval.id, ballot)


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 60))


def test_a_waiting_call_goes_on_when_a_person_approves_it(tmp_path: Path) -> None:
    async def story() -> None:
        place = Place(tmp_path)
        held = await place.hold()
        waiting = asyncio.create_task(place.desk.wait("org_1", held.id, 60))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        await place.say(held)
        found = await waiting
        assert found is not None
        assert found.state is ApprovalState.APPROVED
        used = await place.desk.consume(held.id, BINDING, "act_1")
        assert isinstance(used, Approval)
        again = await place.desk.consume(held.id, BINDING, "act_2")
        assert isinstance(again, Deny)
        assert again.reason.code is Code.APPROVAL_MISMATCH

    run(story())


def test_of_many_actions_that_rest_on_one_approval_one_is_carried_out(tmp_path: Path) -> None:
    async def story() -> None:
        place = Place(tmp_path)
        held = await place.hold()
        await place.say(held)
        uses = (place.desk.consume(held.id, BINDING, f"act_{each}") for each in range(8))
        used = await asyncio.gather(*uses)
        assert sum(isinstance(each, Approval) for each in used) == 1

    run(story())


def test_two_equal_calls_that_wait_at_once_are_two_approvals(tmp_path: Path) -> None:
    async def story() -> None:
        place = Place(tmp_path)
        first, second = await place.hold(), await place.hold()
        assert first.id != second.id
        await place.say(first)
        still = await place.desk.find("org_1", second.id)
        assert still is not None
        assert still.state is ApprovalState.PENDING

    run(story())


def test_the_same_call_asked_again_takes_up_what_nobody_waits_for_any_more(tmp_path: Path) -> None:
    async def story() -> None:
        place = Place(tmp_path)
        first = await place.hold()
        waiting = asyncio.create_task(place.desk.wait("org_1", first.id, 60))
        await asyncio.sleep(0.01)
        second = taken(await place.desk.hold(ASKING))
        assert second.is_new
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        third = taken(await place.desk.hold(ASKING))
        assert (third.is_new, third.approval.id) == (False, first.id)

    run(story())


def test_an_approval_survives_a_restart(tmp_path: Path) -> None:
    async def story() -> None:
        place = Place(tmp_path)
        held = await place.hold()
        await place.say(held)
        place.desk = place.another()
        await place.desk.begin()
        again = taken(await place.desk.hold(ASKING))
        assert (again.is_new, again.approval.id) == (False, held.id)
        assert isinstance(await place.desk.consume(held.id, BINDING, "act_1"), Approval)

    run(story())


def test_what_is_answered_at_another_plane_is_seen_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("ringfence.enforcement.approval.LOOK_S", 0.02)

    async def story() -> None:
        place = Place(tmp_path)
        held = await place.hold()
        waiting = asyncio.create_task(place.desk.wait("org_1", held.id, 60))
        place.desk = place.another()
        await place.say(held)
        found = await waiting
        assert found is not None
        assert found.state is ApprovalState.APPROVED

    run(story())


def test_nobody_answers_and_somebody_else_is_asked_and_then_it_is_denied(tmp_path: Path) -> None:
    async def story() -> None:
        place = Place(tmp_path)
        held = await place.hold()
        await place.desk.tidy()
        place.clock.advance(5 * MINUTE_US)
        await place.desk.tidy()
        await place.desk.tidy()
        place.clock.advance(5 * MINUTE_US)
        await place.desk.tidy()
        await place.desk.tidy()
        assert place.news == [
            ("approval.requested", held.id),
            ("approval.escalated", held.id),
            ("approval.expired", held.id),
        ]
        assert await place.say(held) is Objection.OVER
        late = await place.desk.consume(held.id, BINDING, "act_1")
        assert isinstance(late, Deny)
        assert late.reason.code is Code.APPROVAL_EXPIRED

    run(story())


def test_a_waiting_call_ends_when_its_time_is_over(tmp_path: Path) -> None:
    async def story() -> None:
        place = Place(tmp_path)
        held = await place.hold()
        place.clock.advance(10 * MINUTE_US)
        found = await place.desk.wait("org_1", held.id, 60)
        assert found is not None
        assert found.state is ApprovalState.EXPIRED

    run(story())


def test_what_rests_on_something_gone_is_withdrawn(tmp_path: Path) -> None:
    async def story() -> None:
        place = Place(tmp_path)
        held = await place.hold()
        await place.say(held)
        await place.desk.withdraw(lambda each: each.binding.agent == "agt_1")
        gone = await place.desk.consume(held.id, BINDING, "act_1")
        assert isinstance(gone, Deny)
        assert place.news[-1] == ("approval.withdrawn", held.id)

    run(story())


def test_an_unknown_approval_is_refused_without_a_word_of_others(tmp_path: Path) -> None:
    async def story() -> None:
        place = Place(tmp_path)
        found = await place.desk.consume("apr_other", BINDING, "act_1")
        assert isinstance(found, Deny)
        assert found.reason.code is Code.APPROVAL_MISMATCH
        with pytest.raises(KeyError):
            await place.desk.decide("org_1", "apr_other", Vote(user="x", approves=True, at_us=1))

    run(story())


def test_an_agent_cannot_flood_people_however_fast_it_asks(tmp_path: Path) -> None:
    async def story() -> None:
        place = Place(tmp_path)
        askings = [
            replace(ASKING, binding=replace(BINDING, arguments=b'{"n":%d}' % number))
            for number in range(rule.OPEN_OF_RUN + 3)
        ]
        # All but one, and then four at once for one place: SQLite lets writers that compete wait
        # for so long and no longer, and a crowd of them would be a test of the disk.
        found = [await place.desk.hold(each) for each in askings[: rule.OPEN_OF_RUN - 1]]
        rest = askings[rule.OPEN_OF_RUN - 1 :]
        found += await asyncio.gather(*(place.desk.hold(each) for each in rest))
        refused = [each for each in found if isinstance(each, Deny)]
        assert len(refused) == 3
        assert {each.reason.code for each in refused} == {Code.RATE_EXCEEDED}
        assert len(place.news) == rule.OPEN_OF_RUN
        first = found[0]
        assert not isinstance(first, Deny)
        await place.say(first.approval, yes=False)
        assert not isinstance(await place.desk.hold(askings[-1]), Deny)
        # Another plane on the same store knows of it, whatever it has heard itself.
        assert isinstance(await place.another().hold(askings[0]), Deny)

    run(story())


def test_what_is_erased_is_told_to_who_waits_and_asked_anew(tmp_path: Path) -> None:
    async def story() -> None:
        place = Place(tmp_path)
        held = await place.hold()
        waiting = asyncio.create_task(place.desk.wait("org_1", held.id, 60))
        await asyncio.sleep(0.01)
        assert await place.desk.forget([held]) == 1
        found = await waiting
        assert found is None or found.state is ApprovalState.WITHDRAWN
        assert place.news[-1] == ("approval.withdrawn", held.id)
        assert place.kept.find("org_1", held.id) is None
        again = taken(await place.desk.hold(ASKING))
        assert again.is_new

    run(story())


def test_what_was_decided_or_erased_at_another_plane_is_not_taken_up_again(tmp_path: Path) -> None:
    async def story() -> None:
        place = Place(tmp_path)
        first = await place.hold()
        other = desk(place.clock, SequentialIds(), news=place.news, kept=place.kept)
        await other.begin()
        assert await other.forget([first]) == 1
        assert await place.desk.wait("org_1", first.id, 0) is None
        place.clock.advance(MINUTE_US)
        assert taken(await place.desk.hold(ASKING)).is_new

    run(story())

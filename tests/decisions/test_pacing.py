"""Pacing: the bounds of a lane always hold, and whose turn it is is fair."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ringfence.decisions.pacing import LONGEST_PAUSE_S, Lane, Place
from ringfence.decisions.rate import WINDOW_US
from ringfence.domain.model import Pace

SECOND_US = 1_000_000


def whole(**more: Any) -> Pace:  # noqa: ANN401 (fields of a pace)
    """One that a single agent may take whole."""
    return Pace(**{"agent_share": 1.0, **more})


def waiting(lane: Lane, holder: str, count: int = 1) -> list[Place]:
    places = [lane.wait(holder) for _ in range(count)]
    assert None not in places
    return [place for place in places if place is not None]


def test_a_lane_without_limits_lets_all_go() -> None:
    lane = Lane(whole())
    assert all(lane.enter("a", 0) for _ in range(1000))


def test_so_many_go_at_a_time_and_one_more_when_one_has_ended() -> None:
    lane = Lane(whole(concurrent=2))
    first, second = lane.enter("a", 0), lane.enter("a", 0)
    assert first is not None
    assert second is not None
    assert lane.enter("a", 0) is None
    assert lane.wait_us(0, "a") is None  # time alone does not help
    [third] = waiting(lane, "a")
    assert lane.admit(0) == []
    lane.leave(first)
    assert lane.admit(0) == [third]


def test_a_rate_tells_how_long_to_wait() -> None:
    lane = Lane(whole(requests_per_minute=2))
    lane.enter("a", 0)
    lane.enter("a", 10 * SECOND_US)
    assert lane.wait_us(20 * SECOND_US, "a") == 40 * SECOND_US
    assert lane.enter("a", 20 * SECOND_US) is None
    assert lane.enter("a", WINDOW_US) is not None


def test_what_was_never_sent_does_not_count_in_its_minute() -> None:
    lane = Lane(whole(requests_per_minute=1))
    place = lane.enter("a", 0)
    assert place is not None
    lane.leave(place, was_sent=False)
    assert lane.enter("a", 1) is not None


def test_nobody_overtakes_who_waits() -> None:
    lane = Lane(whole(concurrent=1))
    going = lane.enter("a", 0)
    assert going is not None
    [first] = waiting(lane, "a")
    lane.leave(going)
    assert lane.enter("b", 0) is None
    assert lane.admit(0) == [first]


def test_an_agent_that_floods_does_not_keep_another_waiting() -> None:
    lane = Lane(whole(concurrent=1, queued=1000))
    going = lane.enter("flood", 0)
    assert going is not None
    waiting(lane, "flood", 500)
    mine = waiting(lane, "quiet", 3)
    order = []
    for _ in range(10):
        lane.leave(going)
        [going] = lane.admit(0)
        order.append(going.holder)
    assert order[:6] == ["quiet", "flood", "quiet", "flood", "quiet", "flood"]
    assert all(place not in lane.admit(0) for place in mine)


def test_slots_are_shared_by_how_many_each_holds() -> None:
    lane = Lane(whole(concurrent=4, queued=1000))
    flood = [lane.enter("flood", 0) for _ in range(4)]
    waiting(lane, "flood", 100)
    mine = waiting(lane, "quiet", 4)
    # Long calls of the flood end one by one: the quiet agent gets its half before any other turn.
    for each in flood[:3]:
        assert each is not None
        lane.leave(each)
        lane.admit(0)
    assert [place.is_going for place in mine] == [True, True, False, False]


def test_only_so_many_of_one_agent_wait() -> None:
    lane = Lane(whole(concurrent=1, queued=2))
    lane.enter("a", 0)
    waiting(lane, "a", 2)
    assert lane.wait("a") is None
    assert lane.wait("b") is not None


def test_who_gives_up_leaves_the_line() -> None:
    lane = Lane(whole(concurrent=1))
    going = lane.enter("a", 0)
    assert going is not None
    first, second = waiting(lane, "a", 2)
    lane.leave(first)
    lane.leave(first)
    lane.leave(going)
    assert lane.admit(0) == [second]
    assert lane.waiting == 0


def test_a_place_is_given_back_once() -> None:
    lane = Lane(whole(concurrent=2))
    first, _ = lane.enter("a", 0), lane.enter("a", 0)
    assert first is not None
    lane.leave(first)
    lane.leave(first)
    assert lane.going == 1


def test_an_upstream_that_asks_for_a_pause_gets_it_and_no_more_than_its_bound() -> None:
    lane = Lane(whole())
    lane.pause(30, 0)
    lane.pause(10, 0)
    assert lane.wait_us(0, "a") == 30 * SECOND_US
    assert lane.enter("a", 29 * SECOND_US) is None
    assert lane.enter("a", 30 * SECOND_US) is not None
    lane.pause(10**9, 0)
    assert lane.wait_us(0, "a") == LONGEST_PAUSE_S * SECOND_US


@pytest.mark.parametrize("pace", [whole(concurrent=1), whole(requests_per_minute=1)])
def test_a_lane_is_idle_when_nothing_of_it_matters(pace: Pace) -> None:
    lane = Lane(pace)
    assert lane.is_idle(0)
    place = lane.enter("a", 0)
    assert place is not None
    assert not lane.is_idle(0)
    lane.leave(place)
    assert lane.is_idle(WINDOW_US)


def filled(lane: Lane, holder: str, now_us: int = 0) -> int:
    """How many places an agent gets that asks for ever more."""
    count = 0
    while lane.enter(holder, now_us) is not None:
        count += 1
    return count


@pytest.mark.parametrize(
    ("concurrent", "share", "taken"),
    [
        (1, 0.75, [1, 0, 0]),
        (2, 0.75, [1, 1, 0]),
        (4, 0.75, [3, 1, 0]),
        (8, 0.75, [6, 1, 1]),
        (40, 0.75, [30, 7, 2]),
        (8, 0.5, [4, 2, 1]),
        (8, 1.0, [8, 0, 0]),
    ],
)
def test_one_agent_leaves_places_for_others(
    concurrent: int, share: float, taken: list[int]
) -> None:
    lane = Lane(Pace(concurrent=concurrent, agent_share=share))
    assert [filled(lane, holder) for holder in "abc"] == taken


def test_one_agent_leaves_a_part_of_each_minute_for_others() -> None:
    lane = Lane(Pace(requests_per_minute=60))
    assert filled(lane, "flood") == 45
    assert lane.wait_us(5 * SECOND_US, "flood") == 55 * SECOND_US
    assert lane.wait_us(5 * SECOND_US, "quiet") == 0
    assert filled(lane, "quiet", 5 * SECOND_US) == 11
    assert filled(lane, "late", 5 * SECOND_US) == 3


def test_who_has_its_part_waits_while_who_comes_later_goes() -> None:
    lane = Lane(Pace(concurrent=4))
    places = [lane.enter("flood", 0) for _ in range(3)]
    [mine] = waiting(lane, "flood")
    assert lane.admit(0) == []
    assert lane.next_us(0) is None
    assert lane.enter("quiet", 0) is not None
    first = places[0]
    assert first is not None
    lane.leave(first)
    assert lane.admit(0) == []  # what has become free is left for others
    second = places[1]
    assert second is not None
    lane.leave(second)
    assert lane.admit(0) == [mine]


def test_a_part_of_a_minute_comes_back_with_time_alone() -> None:
    lane = Lane(Pace(requests_per_minute=4))
    assert filled(lane, "flood") == 3
    [mine] = waiting(lane, "flood")
    assert lane.next_us(SECOND_US) == 59 * SECOND_US
    assert lane.admit(60 * SECOND_US) == [mine]


class Lanes(RuleBasedStateMachine):
    """Calls come, wait, give up, go and end in any order, while time passes."""

    @initialize(
        concurrent=st.none() | st.integers(1, 4),
        rate=st.none() | st.integers(1, 6),
        share=st.sampled_from([1.0, 0.75, 0.4]),
    )
    def begin(self, concurrent: int | None, rate: int | None, share: float) -> None:
        self.pace = Pace(
            concurrent=concurrent, requests_per_minute=rate, queued=5, agent_share=share
        )
        self.lane = Lane(self.pace)
        self.now_us = 0
        self.going: list[Place] = []
        self.queue: list[Place] = []
        self.begun: list[int] = []
        self.passed_over: Counter[str] = Counter()

    @rule(holder=st.sampled_from("abc"))
    def ask(self, holder: str) -> None:
        before = {each.holder for each in self.queue}
        may = [each for each in before if self.lane.wait_us(self.now_us, each) == 0]
        place = self.lane.enter(holder, self.now_us)
        if place is not None:
            assert not may, "somebody overtook who waits and might go"
            self._went(place)
            return
        place = self.lane.wait(holder)
        if place is None:
            assert sum(each.holder == holder for each in self.queue) == self.pace.queued
        else:
            self.queue.append(place)

    @precondition(lambda self: self.going)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        place = data.draw(st.sampled_from(self.going))
        self.going.remove(place)
        self.lane.leave(place)

    @precondition(lambda self: self.queue)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        place = data.draw(st.sampled_from(self.queue))
        self.queue.remove(place)
        self.lane.leave(place)

    @rule(seconds=st.integers(0, 70))
    def let_time_pass(self, seconds: int) -> None:
        self.now_us += seconds * SECOND_US

    @rule(seconds=st.integers(0, 30))
    def pause(self, seconds: int) -> None:
        self.lane.pause(seconds, self.now_us)

    @rule()
    def admit(self) -> None:
        for place in self.lane.admit(self.now_us):
            same = [each for each in self.queue if each.holder == place.holder]
            assert same[0] is place, "an agent's calls go in the order they came"
            self.queue.remove(place)
            self._went(place)
        if self.queue:
            holders = {each.holder for each in self.queue}
            waits = [self.lane.wait_us(self.now_us, each) for each in holders]
            assert 0 not in waits, "somebody waits who could go"

    def _went(self, place: Place) -> None:
        assert place.is_going
        held = Counter(each.holder for each in self.going)
        concurrent = self.pace.concurrent
        if concurrent is not None and held[place.holder]:
            free, share = concurrent - len(self.going), self.pace.agent_share
            assert (held[place.holder] + 1) * (1 - share) <= share * (free - 1) + 1e-6
        if self.pace.agent_share < 1:  # others may have their part already, and wait rightly
            self.going.append(place)
            self.begun.append(self.now_us)
            return
        for other in {each.holder for each in self.queue} - {place.holder}:
            assert held[place.holder] <= held[other], "an agent with more calls went first"
            # Of equals, each other agent is passed over at most once for each of its turns.
            if held[place.holder] == held[other]:
                self.passed_over[other] += 1
                assert self.passed_over[other] <= 3
        self.passed_over[place.holder] = 0
        for other in set("abc") - {each.holder for each in self.queue}:
            self.passed_over[other] = 0
        self.going.append(place)
        self.begun.append(self.now_us)

    @invariant()
    def never_too_many(self) -> None:
        if not hasattr(self, "lane"):
            return
        assert self.lane.going == len(self.going)
        assert self.lane.waiting == len(self.queue)
        if self.pace.concurrent is not None:
            assert self.lane.going <= self.pace.concurrent
        if self.pace.requests_per_minute is not None:
            recent = [at for at in self.begun if at > self.now_us - WINDOW_US]
            assert len(recent) <= self.pace.requests_per_minute


TestLanes = Lanes.TestCase


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=200), st.integers(1, 4))
def test_while_all_wait_no_agent_gets_two_turns_before_another_has_one(
    arrivals: list[str], slots: int
) -> None:
    """Calls of equal length at a lane that is full: turns go round."""
    lane = Lane(whole(concurrent=slots, queued=1000))
    going = [lane.enter("first", 0) for _ in range(slots)]
    for holder in arrivals:
        assert lane.wait(holder) is not None
    left = Counter(arrivals)
    since: Counter[str] = Counter()
    while sum(left.values()):
        done = going.pop(0)
        assert done is not None
        lane.leave(done)
        [place] = lane.admit(0)
        left[place.holder] -= 1
        since[place.holder] += 1
        for other in left:
            if left[other] and other != place.holder:
                assert since[place.holder] - since[other] <= 2
        going.append(place)

"""Rates: no sixty seconds hold more than the limit, and the wait that is told suffices."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ringfence.decisions.rate import WINDOW_US, Rate, new_invocation
from ringfence.domain.agent import Agent, Category, Limits
from ringfence.domain.verdict import Code

AGENT = Agent(
    name="triage",
    owner="o@x",
    team=None,
    category=Category.BOUNDED,
    purpose="",
    limits=Limits(new_invocations_per_minute=2),
)


def test_the_limit_is_reached_and_not_passed() -> None:
    rate = Rate()
    assert [bool(rate.take(3, 0)) for _ in range(5)] == [False, False, False, True, True]


def test_a_call_that_waits_as_told_passes() -> None:
    rate = Rate()
    rate.take(2, 0)
    rate.take(2, 10_000_000)
    assert rate.take(2, 20_000_000) == 40.0
    assert rate.take(2, 59_999_999) > 0
    assert rate.take(2, 60_000_000) == 0.0


def test_a_refused_call_does_not_count() -> None:
    rate = Rate()
    for now in range(100):
        rate.take(1, now)
    assert rate.take(1, WINDOW_US) == 0.0
    assert rate.take(1, WINDOW_US + 1) > 0


def test_a_limit_lowered_by_a_reload_holds_at_once() -> None:
    rate = Rate()
    for now in range(5):
        rate.take(5, now)
    assert rate.take(2, 10) == (3 + WINDOW_US - 10) / 1_000_000
    assert rate.take(6, 10) == 0.0


def test_a_limit_of_zero_refuses_everything() -> None:
    assert Rate().take(0, 0) == 60.0


def test_a_rate_is_idle_when_its_last_minute_is_over() -> None:
    rate = Rate()
    assert rate.is_idle(0)
    rate.take(5, 0)
    assert not rate.is_idle(WINDOW_US - 1)
    assert rate.is_idle(WINDOW_US)


@given(st.integers(1, 5), st.lists(st.integers(0, 40_000_000), max_size=60))
def test_no_minute_holds_more_than_the_limit(limit: int, gaps: list[int]) -> None:
    rate, now, passed = Rate(), 0, []
    for gap in gaps:
        now += gap
        if not rate.take(limit, now):
            passed.append(now)
    for start in passed:
        assert sum(start <= time < start + WINDOW_US for time in passed) <= limit


@given(st.integers(1, 5), st.lists(st.integers(0, 40_000_000), max_size=60))
def test_a_wait_is_never_longer_than_needed(limit: int, gaps: list[int]) -> None:
    rate, now, passed = Rate(), 0, []
    for gap in gaps:
        now += gap
        wait_s = rate.take(limit, now)
        if not wait_s:
            passed.append(now)
            continue
        just_before = now + round(wait_s * 1_000_000) - 1
        assert sum(just_before - WINDOW_US < time for time in passed) >= limit


def test_an_agent_opens_so_many_invocations_per_minute() -> None:
    rate = Rate()
    assert new_invocation(AGENT, rate, 0) is None
    assert new_invocation(AGENT, rate, 0) is None
    refused = new_invocation(AGENT, rate, 0)
    assert refused is not None
    assert refused.retry_after_s == 60.0
    assert refused.reason.code is Code.RATE_EXCEEDED
    assert "agent `triage` may open 2 invocations per minute" in refused.reason.message


def test_the_limit_of_the_agent_may_change() -> None:
    rate = Rate()
    wider = replace(AGENT, limits=Limits(new_invocations_per_minute=3))
    assert [new_invocation(wider, rate, 0) is None for _ in range(4)] == [True, True, True, False]

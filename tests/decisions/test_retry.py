"""Retries: the same request that fails is slowed down, then ends its run; another one is free."""

from hypothesis import given
from hypothesis import strategies as st

from ringfence.decisions.retry import FREE, LONGEST_WAIT_S, Failing, decide, failed, wait_after
from ringfence.domain.agent import Agent, Category, LoopLimits
from ringfence.domain.verdict import Code, Stop, Throttle

SECOND_US = 1_000_000


def agent(retries: int | None = 20) -> Agent:
    loops = LoopLimits(retries=retries)
    return Agent(
        name="triage", owner="o@x", team=None, category=Category.BOUNDED, purpose="", loops=loops
    )


def after(times: int, fingerprint: int = 1, *, may_pass: bool = True) -> Failing:
    failing = None
    for at in range(1 - times, 1):
        failing = failed(failing, fingerprint, at, at, may_pass=may_pass)
    assert failing is not None
    return failing


def test_the_tries_of_an_sdk_cost_no_wait() -> None:
    assert [decide(agent(), after(times), 1, 0) for times in range(1, FREE)] == [None] * (FREE - 1)


def test_a_storm_has_to_wait_longer_each_time_and_passes_when_it_did() -> None:
    waits = []
    for times in range(FREE, 12):
        verdict = decide(agent(), after(times), 1, 0)
        assert isinstance(verdict, Throttle)
        assert verdict.reason.code is Code.RATE_EXCEEDED
        waits.append(verdict.retry_after_s)
        assert decide(agent(), after(times), 1, round(verdict.retry_after_s * SECOND_US)) is None
    assert waits == [1, 2, 4, 8, 16, LONGEST_WAIT_S, LONGEST_WAIT_S, LONGEST_WAIT_S]


def test_what_never_stops_failing_ends_its_run_however_long_it_waited() -> None:
    verdict = decide(agent(retries=20), after(20), 1, 3600 * SECOND_US)
    assert isinstance(verdict, Stop)
    assert verdict.reason.code is Code.LOOP_DETECTED
    assert dict(verdict.reason.facts)["loop"] == "retries"


def test_another_request_begins_again() -> None:
    assert decide(agent(), after(20), 2, 0) is None
    new = failed(after(20), 2, 5, 5, may_pass=True)
    assert new == Failing(fingerprint=2, times=1, last_us=5, may_pass=True)


def test_a_final_refusal_is_never_turned_into_an_invitation_to_wait() -> None:
    assert decide(agent(), after(19, may_pass=False), 1, 0) is None
    assert isinstance(decide(agent(), after(20, may_pass=False), 1, 0), Stop)


def test_a_burst_of_equal_requests_counts_once() -> None:
    failing = None
    for end in range(10, 200):
        failing = failed(failing, 1, 5, end, may_pass=True)
    assert failing == Failing(fingerprint=1, times=1, last_us=10, may_pass=True)


def test_unlimited_retries_are_left_alone() -> None:
    assert decide(agent(retries=None), after(1000), 1, 0) is None


@given(st.integers(0, 10_000))
def test_a_wait_is_never_longer_than_its_bound(times: int) -> None:
    assert 0 <= wait_after(times) <= LONGEST_WAIT_S

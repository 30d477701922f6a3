import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.analysis.compounding import (
    Estimate,
    checkpoint,
    fewer_steps,
    loss,
    merged_agent,
    step_needed,
    steps_within,
)

shares = st.floats(min_value=0.01, max_value=0.999)
lengths = st.integers(min_value=1, max_value=200)


def test_ninety_five_per_cent_per_step_is_little_over_a_third_after_twenty() -> None:
    assert Estimate.of(95, 100).over(20).value == pytest.approx(0.3585, abs=1e-4)


def test_the_interval_is_the_one_of_the_textbooks() -> None:
    # Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
    for successes, trials, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        found = Estimate.of(successes, trials)
        assert found.low == pytest.approx(low, abs=1e-4)
        assert found.high == pytest.approx(high, abs=1e-4)


def test_without_trials_everything_is_possible() -> None:
    assert Estimate.of(0, 0) == Estimate(value=0.0, low=0.0, high=1.0, trials=0)


def test_that_nothing_failed_in_three_trials_says_little() -> None:
    found = Estimate.of(3, 3)
    assert found.value == found.high == 1.0
    assert found.low == pytest.approx(0.4385, abs=1e-4)


@given(st.integers(min_value=0, max_value=500), st.integers(min_value=1, max_value=500), lengths)
def test_an_interval_holds_its_estimate_over_any_steps(some: int, trials: int, steps: int) -> None:
    found = Estimate.of(min(some, trials), trials).over(steps)
    assert 0.0 <= found.low <= found.value <= found.high <= 1.0


@given(shares, lengths)
def test_every_remedy_helps(p: float, steps: int) -> None:
    now = p**steps - 1e-12
    assert fewer_steps(p, steps).success >= now
    assert checkpoint(p, steps).success >= now
    assert merged_agent(p, steps, 1.0).success >= now


def test_a_checkpoint_does_a_failed_half_once_more() -> None:
    found = checkpoint(0.5, 2)
    assert found.success == pytest.approx(0.75 * 0.75)
    assert found.steps == pytest.approx(3.0)


def test_merging_never_leaves_less_than_one_step() -> None:
    assert merged_agent(0.9, 3, 7.0).steps == 1.0


def test_losses_multiply_like_the_shares_they_stand_for() -> None:
    assert loss(10, 10) == 0.0
    assert loss(10, 5) > loss(10, 9) > 0.0
    assert loss(10, 0) > loss(10, 1)


@given(shares, st.floats(min_value=0.5, max_value=0.99))
def test_as_many_steps_as_may_be_taken_still_work_so_often(p: float, wanted: float) -> None:
    most = steps_within(p, wanted)
    assert most is not None
    assert p**most >= wanted - 1e-6
    assert p ** (most + 1) < wanted + 1e-6


def test_steps_that_always_work_have_no_bound_and_others_may_have_none_left() -> None:
    assert steps_within(1.0, 0.95) is None
    assert steps_within(0.0, 0.95) == 0
    assert steps_within(0.99, 0.95) == 5


@given(lengths, st.floats(min_value=0.5, max_value=0.99))
def test_what_each_step_needs_gives_what_is_wanted(steps: int, wanted: float) -> None:
    assert step_needed(steps, wanted) ** steps == pytest.approx(wanted)

import pytest

from ringfence.testing.clock import ManualClock


def test_time_stands_still_until_it_is_moved() -> None:
    clock = ManualClock(now_us=5)
    assert (clock.now_us(), clock.monotonic_us()) == (5, 0)
    assert (clock.now_us(), clock.monotonic_us()) == (5, 0)


def test_both_clocks_advance_together() -> None:
    clock = ManualClock(now_us=5)
    clock.advance(10)
    assert (clock.now_us(), clock.monotonic_us()) == (15, 10)


def test_the_wall_clock_alone_may_be_set_back() -> None:
    clock = ManualClock(now_us=5)
    clock.advance(10)
    clock.set(1)
    assert (clock.now_us(), clock.monotonic_us()) == (1, 10)


def test_time_does_not_advance_backwards() -> None:
    with pytest.raises(ValueError, match="does not go back"):
        ManualClock().advance(-1)

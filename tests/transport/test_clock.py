import time

from ringfence.transport.clock import SystemClock, WallWatch


def test_wall_time_is_microseconds_since_1970() -> None:
    before = time.time()
    now = SystemClock().now_us()
    assert before * 1e6 - 1 <= now <= time.time() * 1e6 + 1


def test_wall_time_that_is_set_back_goes_on() -> None:
    wall, monotonic = [5_000_000], [1_000]
    clock = SystemClock(lambda: wall[0], lambda: monotonic[0])
    assert clock.now_us() == 5_000
    wall[0], monotonic[0] = 1_000_000, 3_001_000
    assert clock.now_us() == 8_000
    assert clock.monotonic_us() == 3_001


def test_wall_time_that_is_set_forward_is_followed() -> None:
    wall, monotonic = [5_000_000], [1_000]
    clock = SystemClock(lambda: wall[0], lambda: monotonic[0])
    wall[0] = 90_000_000
    assert clock.now_us() == 90_000
    monotonic[0] += 1_000_000
    assert clock.now_us() == 91_000


def test_monotonic_time_never_goes_back() -> None:
    clock = SystemClock()
    readings = [clock.monotonic_us() for _ in range(1000)]
    assert readings == sorted(readings)


def test_a_wall_clock_that_is_set_is_noticed_once_each_way() -> None:
    wall, monotonic = [5_000_000_000], [1_000_000_000]
    watch = WallWatch(lambda: wall[0], lambda: monotonic[0])
    wall[0] += 2_000_000_000
    monotonic[0] += 2_000_000_000
    assert watch.jumped_s() == 0
    wall[0] += 3_600_000_000_000
    assert watch.jumped_s() == 3_600
    assert watch.jumped_s() == 0
    wall[0] -= 60_000_000_000
    assert watch.jumped_s() == -60
    assert watch.monotonic_us() == 3_000_000

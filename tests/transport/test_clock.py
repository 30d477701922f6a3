import time

from ringfence.transport.clock import SystemClock


def test_wall_time_is_microseconds_since_1970() -> None:
    before = time.time()
    now = SystemClock().now_us()
    assert before * 1e6 - 1 <= now <= time.time() * 1e6 + 1


def test_monotonic_time_never_goes_back() -> None:
    clock = SystemClock()
    readings = [clock.monotonic_us() for _ in range(1000)]
    assert readings == sorted(readings)

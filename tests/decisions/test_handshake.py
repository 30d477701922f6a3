"""TLS handshakes of one sandbox: what clients do passes, a flood does not."""

from hypothesis import given
from hypothesis import strategies as st

from ringfence.decisions.handshake import HandshakeLimits, Handshakes

SECOND_US = 1_000_000
LIMITS = HandshakeLimits(open=4, burst=10, per_second=2, new_host=5)


def done(handshakes: Handshakes, now_us: int, *, is_new_host: bool = False) -> bool:
    """One that ends at once; whether it was taken."""
    if not handshakes.begin(now_us, is_new_host=is_new_host):
        return False
    handshakes.end()
    return True


def test_so_many_are_open_at_once_and_no_more() -> None:
    handshakes = Handshakes(LIMITS, 0)
    assert [handshakes.begin(0, is_new_host=False) for _ in range(6)] == [True] * 4 + [False] * 2
    handshakes.end()
    assert handshakes.begin(0, is_new_host=False)


def test_a_burst_is_followed_by_a_rate() -> None:
    handshakes = Handshakes(LIMITS, 0)
    assert sum(done(handshakes, 0) for _ in range(20)) == 10
    assert sum(done(handshakes, SECOND_US) for _ in range(20)) == 2
    assert sum(done(handshakes, 3 * SECOND_US // 2) for _ in range(20)) == 1
    assert sum(done(handshakes, 60 * SECOND_US) for _ in range(20)) == 10


def test_the_first_for_a_host_counts_more() -> None:
    handshakes = Handshakes(LIMITS, 0)
    assert [done(handshakes, 0, is_new_host=True) for _ in range(3)] == [True, True, False]
    assert not done(handshakes, 0)


def test_what_is_refused_takes_nothing() -> None:
    handshakes = Handshakes(LIMITS, 0)
    while done(handshakes, 0):
        pass
    for _ in range(1000):
        assert not done(handshakes, 0)
    assert done(handshakes, SECOND_US)


@given(st.lists(st.tuples(st.integers(0, SECOND_US), st.booleans()), max_size=200))
def test_never_more_than_the_burst_and_what_time_brings(steps: list[tuple[int, bool]]) -> None:
    handshakes, now_us, taken = Handshakes(LIMITS, 0), 0, 0
    for passed_us, is_new_host in steps:
        now_us += passed_us
        if done(handshakes, now_us, is_new_host=is_new_host):
            taken += LIMITS.new_host if is_new_host else 1
        assert taken <= LIMITS.burst + now_us * LIMITS.per_second / SECOND_US + 1e-6


def test_what_package_managers_open_passes_by_far() -> None:
    """Fifty hosts first, then five hundred connections within ten seconds, forty at once."""
    handshakes, now_us = Handshakes(HandshakeLimits(), 0), 0
    for _ in range(50):
        now_us += SECOND_US // 20
        assert done(handshakes, now_us, is_new_host=True)
    for _ in range(12):
        now_us += SECOND_US
        for _ in range(40):
            assert handshakes.begin(now_us, is_new_host=False)
        for _ in range(40):
            handshakes.end()

from ringfence.app.warning import ClockSource, Warnings, failure_of
from ringfence.domain.error import RingfenceError, UnavailableError
from ringfence.transport.clock import WallWatch


class Signing:
    failure: RingfenceError | None = None


def test_each_change_is_told_once() -> None:
    told: list[tuple[str, str, str]] = []
    signing, behind = Signing(), [""]
    warnings = Warnings(
        {"checkpoints_failing": failure_of(signing), "witness_behind": lambda: behind[0]},
        lambda *note: told.append(note),
    )
    warnings.observe()
    assert not warnings.raised
    signing.failure = UnavailableError("store_unavailable", "checkpoints cannot be written")
    behind[0] = "1 witness"
    warnings.observe()
    behind[0] = "2 witnesses"
    warnings.observe()
    assert warnings.raised == ["checkpoints_failing", "witness_behind"]
    signing.failure = None
    warnings.observe()
    assert warnings.raised == ["witness_behind"]
    assert sorted(told) == [
        ("warning.cleared", "checkpoints_failing", ""),
        ("warning.raised", "checkpoints_failing", "checkpoints cannot be written"),
        ("warning.raised", "witness_behind", "1 witness"),
    ]


def test_a_clock_that_was_set_is_told_of_for_a_minute() -> None:
    wall, monotonic = [10**18], [10**12]
    source = ClockSource(WallWatch(lambda: wall[0], lambda: monotonic[0]))
    wall[0] += 900_000_000  # what a time server corrects
    assert not source()
    wall[0] -= 7_200_000_000_000
    assert "set 7200 s back" in source()
    monotonic[0] += 59_000_000_000
    wall[0] += 59_000_000_000
    assert "set 7200 s back" in source()
    monotonic[0] += 2_000_000_000
    wall[0] += 2_000_000_000
    assert not source()
    wall[0] += 86_400_000_000_000
    assert "86400 s ahead" in source()

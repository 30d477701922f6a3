import time
from collections.abc import Iterator

import pytest

from ringfence.cli.terminal.moment import (
    iso,
    read_duration_s,
    read_moment,
    show_duration,
    show_moment,
    show_time,
)
from ringfence.domain.error import UsageError

NOW_US = 1_795_266_000_123_456  # 2026-11-21T13:00:00.123456Z


@pytest.fixture(autouse=True)
def _zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "ago_s"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("7d", 604_800), ("1w", 604_800)]
)
def test_a_span_means_so_long_ago(text: str, ago_s: int) -> None:
    assert read_moment(text, NOW_US) == NOW_US - ago_s * 1_000_000


def test_a_span_beyond_all_time_is_the_beginning() -> None:
    assert read_moment("999999w", NOW_US) == 0


def test_a_time_without_a_zone_is_local() -> None:
    assert iso(read_moment("2026-11-21T14:30", NOW_US)) == "2026-11-21T13:30:00.000000Z"
    assert iso(read_moment("2026-11-21", NOW_US)) == "2026-11-20T23:00:00.000000Z"


def test_a_time_with_a_zone_is_what_it_says() -> None:
    assert iso(read_moment("2026-11-21T14:30:00.5Z", NOW_US)) == "2026-11-21T14:30:00.500000Z"


@pytest.mark.parametrize("text", ["", "yesterday", "2x", "-2h", "0001-01-01", "2026-13-01"])
def test_what_is_no_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_moment(text, NOW_US)
    assert caught.value.code == "time_invalid"
    assert "`2h`" in caught.value.help


def test_durations_are_read() -> None:
    assert read_duration_s("2h") == 7200
    with pytest.raises(UsageError):
        read_duration_s("soon")


def test_times_are_shown_in_local_time() -> None:
    assert show_moment(NOW_US) == "2026-11-21 14:00:00"
    assert show_time(NOW_US) == "14:00:00.123"


@pytest.mark.parametrize(
    ("duration_us", "shown"),
    [
        (0, "0 µs"),
        (840, "840 µs"),
        (12_345, "12 ms"),
        (1_250_000, "1.25 s"),
        (125_000_000, "2 min 5 s"),
        (10_800_000_000, "3 h"),
        (97_200_000_000, "1 d 3 h"),
    ],
)
def test_durations_are_shown_in_fitting_units(duration_us: int, shown: str) -> None:
    assert show_duration(duration_us) == shown

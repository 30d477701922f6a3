"""Windows partition time in every zone, on days of any length."""

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.decisions.window import local_time, window_of
from ringfence.domain.budget import Per, Window

BERLIN = ZoneInfo("Europe/Berlin")
HOUR_US = 3_600_000_000
ZONES = [
    UTC,
    BERLIN,
    ZoneInfo("America/New_York"),
    ZoneInfo("America/St_Johns"),  # until 2011 clocks went back over midnight, at 00:01
    ZoneInfo("America/Sao_Paulo"),  # until 2019 midnight did not exist once a year
    ZoneInfo("Africa/Cairo"),
    ZoneInfo("Asia/Kathmandu"),  # +05:45
    ZoneInfo("Australia/Lord_Howe"),  # clocks move by half an hour
    ZoneInfo("Pacific/Apia"),  # 30 December 2011 did not exist
    ZoneInfo("Pacific/Kiritimati"),  # +14
    timezone(-timedelta(hours=12)),
]
CALENDAR = [Per.HOUR, Per.DAY, Per.WEEK, Per.MONTH]
instants = st.integers(
    min_value=0,
    max_value=int(datetime(2100, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000,
)


def micros(text: str, tz: tzinfo) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=tz).timestamp()) * 1_000_000


def window(per: Per, text: str, tz: tzinfo) -> tuple[str, str]:
    found = window_of(per, micros(text, tz), tz)
    assert found.end_us is not None
    return (
        local_time(found.start_us, tz).isoformat(timespec="minutes"),
        local_time(found.end_us, tz).isoformat(timespec="minutes"),
    )


def hours(per: Per, text: str, tz: tzinfo) -> float:
    found = window_of(per, micros(text, tz), tz)
    assert found.end_us is not None
    return (found.end_us - found.start_us) / HOUR_US


@pytest.mark.parametrize("per", [Per.TOTAL, Per.INVOCATION, Per.TREE])
def test_a_budget_without_a_calendar_has_one_window_without_end(per: Per) -> None:
    assert window_of(per, micros("2026-11-21T12:00", UTC), BERLIN) == Window(0, None)


@pytest.mark.parametrize(
    ("per", "start", "end"),
    [
        (Per.HOUR, "2026-11-21T12:00+01:00", "2026-11-21T13:00+01:00"),
        (Per.DAY, "2026-11-21T00:00+01:00", "2026-11-22T00:00+01:00"),
        (Per.WEEK, "2026-11-16T00:00+01:00", "2026-11-23T00:00+01:00"),
        (Per.MONTH, "2026-11-01T00:00+01:00", "2026-12-01T00:00+01:00"),
    ],
)
def test_windows_follow_the_local_calendar(per: Per, start: str, end: str) -> None:
    assert window(per, "2026-11-21T12:34", BERLIN) == (start, end)


def test_a_month_across_a_clock_change_begins_and_ends_at_local_midnight() -> None:
    assert window(Per.MONTH, "2026-10-31T23:59", BERLIN) == (
        "2026-10-01T00:00+02:00",
        "2026-11-01T00:00+01:00",
    )


def test_the_year_turns_within_a_week_and_between_months() -> None:
    assert window(Per.WEEK, "2027-01-01T00:00", BERLIN)[0] == "2026-12-28T00:00+01:00"
    assert window(Per.MONTH, "2026-12-31T23:59", BERLIN)[1] == "2027-01-01T00:00+01:00"


@pytest.mark.parametrize(
    ("zone", "day", "length"),
    [
        ("Europe/Berlin", "2026-03-29T12:00", 23),
        ("Europe/Berlin", "2026-10-25T12:00", 25),
        ("Europe/Berlin", "2026-06-01T12:00", 24),
        ("Australia/Lord_Howe", "2026-04-05T12:00", 24.5),
        ("Australia/Lord_Howe", "2026-10-04T12:00", 23.5),
        ("America/Sao_Paulo", "2018-11-04T12:00", 23),
    ],
)
def test_a_day_is_as_long_as_its_clock_says(zone: str, day: str, length: float) -> None:
    assert hours(Per.DAY, day, ZoneInfo(zone)) == length


def test_a_day_whose_midnight_does_not_exist_begins_at_its_first_instant() -> None:
    assert window(Per.DAY, "2018-11-04T12:00", ZoneInfo("America/Sao_Paulo"))[0] == (
        "2018-11-04T01:00-02:00"
    )


@pytest.mark.parametrize(
    ("zone", "start"),
    [
        ("Asia/Kathmandu", "2026-11-21T12:00+05:45"),
        ("Asia/Kolkata", "2026-11-21T12:00+05:30"),
        ("Australia/Eucla", "2026-11-21T12:00+08:45"),
    ],
)
def test_an_hour_is_aligned_to_the_local_clock(zone: str, start: str) -> None:
    assert window(Per.HOUR, "2026-11-21T12:34", ZoneInfo(zone))[0] == start


def test_the_last_microsecond_belongs_to_the_old_window_and_the_next_to_the_new() -> None:
    midnight = micros("2026-11-22T00:00", BERLIN)
    assert window_of(Per.DAY, midnight - 1, BERLIN).end_us == midnight
    assert window_of(Per.DAY, midnight, BERLIN).start_us == midnight


def test_the_answer_does_not_depend_on_what_was_asked_before() -> None:
    first, other = micros("2026-11-21T12:00", BERLIN), micros("2026-03-29T12:00", BERLIN)
    before = window_of(Per.DAY, first, BERLIN)
    window_of(Per.DAY, other, BERLIN)
    assert window_of(Per.DAY, first, BERLIN) == before
    assert window_of(Per.DAY, first, UTC) != before


@given(instants, st.sampled_from(ZONES), st.sampled_from(CALENDAR))
def test_every_instant_lies_in_its_own_window(now_us: int, tz: tzinfo, per: Per) -> None:
    found = window_of(per, now_us, tz)
    assert found.end_us is not None
    assert found.start_us <= now_us < found.end_us


@given(instants, st.sampled_from(ZONES), st.sampled_from([Per.DAY, Per.WEEK, Per.MONTH]))
def test_windows_meet_without_gap_or_overlap(now_us: int, tz: tzinfo, per: Per) -> None:
    chain = [window_of(per, now_us, tz)]
    for _ in range(3):
        end_us = chain[-1].end_us
        assert end_us is not None
        chain.append(window_of(per, end_us, tz))
    for earlier, later in pairwise(chain):
        assert later.start_us == earlier.end_us


def test_a_date_that_comes_twice_belongs_to_the_window_that_has_begun() -> None:
    """St John's, 7 November 2010: at 00:01 clocks went back to 23:01 of the day before."""
    tz = ZoneInfo("America/St_Johns")
    first_midnight = micros("2010-11-07T00:00", tz)
    before = micros("2010-11-01T12:00", tz)
    for minutes, start_us in [(-1, None), (0, first_midnight), (30, first_midnight)]:
        window_of(Per.DAY, before, tz)
        found = window_of(Per.DAY, first_midnight + minutes * 60_000_000, tz)
        if start_us is None:
            assert found.end_us == first_midnight
        else:
            assert found.start_us == start_us


@pytest.mark.parametrize(
    ("zone", "around"),
    [
        ("America/St_Johns", "2010-11-07T00:00"),
        ("America/Sao_Paulo", "2018-02-18T00:00"),
        ("Pacific/Apia", "2011-12-30T00:00"),
        ("Australia/Lord_Howe", "2026-04-05T02:00"),
    ],
)
def test_windows_partition_the_hours_around_an_odd_clock_change(zone: str, around: str) -> None:
    tz = ZoneInfo(zone)
    middle = micros(around, tz)
    found = [
        window_of(Per.DAY, middle + step * HOUR_US // 12, tz) for step in range(-12 * 40, 12 * 40)
    ]
    for earlier, later in pairwise(found):
        assert later == earlier or later.start_us == earlier.end_us

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from ringfence.decisions.alert import Alarms, Alert, AlertKind
from ringfence.decisions.period import Line
from ringfence.domain.budget import AccountKey, BudgetScope, Per, Window
from ringfence.domain.money import ZERO, Money

DAY_US = 86_400_000_000
HOUR_US = 3_600_000_000
PERCENTS = (50, 80, 100)
LIMIT = 1_000_000


def line(spent: int, *, start_us: int = 0, per: Per = Per.DAY, limit: int = LIMIT) -> Line:
    window = Window(start_us, None if per is Per.TOTAL else start_us + DAY_US)
    key = AccountKey("org_1", BudgetScope.AGENT, "agt_1", per)
    return Line(key, window, Money(limit), Money(spent), ZERO, ZERO)


def script(*steps: tuple[float, int]) -> list[tuple[float, AlertKind, int]]:
    """What is told, by hour: each step is (hours since the window began, spent)."""
    alarms = Alarms()
    return [
        (hour, alert.kind, alert.percent)
        for hour, spent in steps
        for alert in alarms.observe([line(spent)], PERCENTS, round(hour * HOUR_US))
    ]


def kinds(alerts: Iterable[Alert]) -> list[AlertKind]:
    return [alert.kind for alert in alerts]


def test_each_share_is_told_once() -> None:
    told = script((10, 100_000), (13, 500_000), (14, 510_000), (20, 800_000), (23.9, 1_000_000))
    shares = [(hour, percent) for hour, kind, percent in told if kind is AlertKind.SHARE]
    assert shares == [(13, 50), (20, 80), (23.9, 100)]


def test_a_jump_over_several_shares_tells_the_highest() -> None:
    told = script((23, 990_000), (23.5, 1_000_000))
    shares = [(hour, percent) for hour, kind, percent in told if kind is AlertKind.SHARE]
    assert shares == [(23, 80), (23.5, 100)]


def test_an_even_pace_tells_neither_speed_nor_forecast() -> None:
    steps = [(hour / 4, round(LIMIT * hour / 4 / 24 * 0.98)) for hour in range(1, 96)]
    assert {kind for _, kind, _ in script(*steps)} == {AlertKind.SHARE}


def test_a_quarter_of_the_limit_within_an_hour_of_a_day_is_fast() -> None:
    told = script((5.0, 0), (5.5, 100_000), (5.9, 260_000), (6.0, 280_000))
    assert [(hour, kind) for hour, kind, _ in told if kind is AlertKind.BURN] == [
        (5.9, AlertKind.BURN)
    ]


def test_speed_is_told_again_after_it_slowed_down() -> None:
    told = script((5, 0), (5.5, 260_000), (8, 260_000), (8.5, 520_000))
    assert [hour for hour, kind, _ in told if kind is AlertKind.BURN] == [5.5, 8.5]


def test_a_forecast_says_when_the_budget_runs_out() -> None:
    alarms = Alarms()
    for hour in (1, 2, 3):
        assert alarms.observe([line(hour * 30_000)], PERCENTS, hour * HOUR_US) == []
    (alert,) = alarms.observe([line(240_000)], PERCENTS, 4 * HOUR_US)
    assert alert.kind is AlertKind.FORECAST
    assert alert.percent == 24
    assert alert.runs_out_us is not None
    assert 4 * HOUR_US < alert.runs_out_us < DAY_US
    assert alarms.observe([line(300_000)], PERCENTS, 5 * HOUR_US) == []


def test_too_little_spent_gives_no_forecast() -> None:
    assert script((1, 90_000), (1.5, 95_000)) == []


def test_a_new_window_starts_again() -> None:
    alarms = Alarms()
    assert AlertKind.SHARE in kinds(alarms.observe([line(500_000)], PERCENTS, 20 * HOUR_US))
    assert alarms.observe([line(500_000)], PERCENTS, 21 * HOUR_US) == []
    later = line(500_000, start_us=DAY_US)
    assert AlertKind.SHARE in kinds(alarms.observe([later], PERCENTS, DAY_US + 20 * HOUR_US))


def test_what_was_spent_before_a_restart_is_not_told_again() -> None:
    alarms = Alarms()
    alarms.begin([line(600_000)], PERCENTS, 20 * HOUR_US)
    assert alarms.observe([line(600_000)], PERCENTS, 20 * HOUR_US + 1) == []
    (alert,) = alarms.observe([line(800_000)], PERCENTS, 23 * HOUR_US)
    assert (alert.kind, alert.percent) == (AlertKind.SHARE, 80)


def test_a_budget_without_end_has_shares_only() -> None:
    alarms = Alarms()
    found = alarms.observe([line(900_000, per=Per.TOTAL)], PERCENTS, HOUR_US)
    assert [(alert.kind, alert.percent) for alert in found] == [(AlertKind.SHARE, 80)]


def test_invocations_and_budgets_of_nothing_are_left_alone() -> None:
    alarms = Alarms()
    assert alarms.observe([line(900_000, per=Per.INVOCATION)], PERCENTS, HOUR_US) == []
    assert alarms.observe([line(0, limit=0)], PERCENTS, HOUR_US) == []


@given(st.lists(st.tuples(st.floats(0.01, 1.0), st.integers(0, 300_000)), max_size=60))
def test_no_share_and_no_forecast_is_told_twice(moves: list[tuple[float, int]]) -> None:
    alarms, hour, spent = Alarms(), 0.0, 0
    told: list[tuple[AlertKind, int]] = []
    for hours, amount in moves:
        hour, spent = hour + hours, min(LIMIT, spent + amount)
        if hour >= 24:
            break
        found = alarms.observe([line(spent)], PERCENTS, round(hour * HOUR_US))
        told += [
            (each.kind, each.percent if each.kind is AlertKind.SHARE else 0)
            for each in found
            if each.kind is not AlertKind.BURN
        ]
    assert len(told) == len(set(told))


def test_what_is_over_is_forgotten() -> None:
    alarms = Alarms()
    for number in range(100):
        key = AccountKey("org_1", BudgetScope.USER, f"user_{number}", Per.DAY)
        window = Window(0, DAY_US)
        one = Line(key, window, Money(LIMIT), ZERO, ZERO, ZERO)
        alarms.observe([one, line(0)], PERCENTS, number)
    assert len(alarms._watched) == 2  # noqa: SLF001 (what is kept shows nowhere else)

"""One account in one window; how a book moves it is told in `test_budget.py`."""

from ringfence.decisions.period import FOREVER_US, MINUTE_US, Line, Period
from ringfence.domain.budget import AccountKey, BudgetScope, Per, Unit, Window
from ringfence.domain.money import Money

DAY = Window(0, 86_400_000_000)


def key(unit: Unit = Unit.MONEY) -> AccountKey:
    return AccountKey("org_1", BudgetScope.USER, "user_1", Per.TOTAL, unit)


def line(limit: int, spent: int = 0, reserved: int = 0) -> Line:
    return Line(key(), DAY, Money(limit), Money(spent), Money(reserved), Money(0))


def test_what_is_left_is_the_limit_without_what_is_spent_and_reserved() -> None:
    assert line(100, 30, 20).left == 50
    assert not line(100, 60, 40).is_closed


def test_an_account_that_is_overdrawn_is_closed() -> None:
    assert line(100, 60, 41).left == -1
    assert line(100, 60, 41).is_closed


def test_a_period_allows_nothing_until_it_is_given_a_limit() -> None:
    period = Period(key(), DAY)
    assert (period.limit, period.cap, period.used, period.line().left) == (0, 0, 0, 0)
    assert period.end_us == DAY.end_us


def test_a_window_without_end_never_ends() -> None:
    assert Period(key(), Window(0, None)).end_us == FOREVER_US


def test_what_is_reserved_is_what_is_used_and_neither_spent_here_nor_held_elsewhere() -> None:
    period = Period(key(), DAY)
    period.used, period.spent, period.elsewhere = 100, 30, 50
    assert period.reserved == 20
    assert (period.line().spent, period.line().reserved) == (80, 20)


def test_a_rate_forgets_after_a_minute_what_it_has_counted() -> None:
    period = Period(key(Unit.CALLS_PER_MINUTE), Window(0, None))
    for at_us in (1, 1_000_000):
        period.used += 1
        period.pass_on((at_us,))
    assert (period.spent, period.end_us) == (2, 1 + MINUTE_US)
    assert period.line().window == Window(0, 1 + MINUTE_US)
    period.fade(MINUTE_US)
    assert period.spent == 2
    period.fade(1 + MINUTE_US)
    assert (period.spent, period.used, period.end_us) == (1, 1, 1_000_000 + MINUTE_US)
    assert not period.is_past(MINUTE_US)
    period.fade(1_000_000 + MINUTE_US)
    assert (period.spent, period.used, period.end_us) == (0, 0, FOREVER_US)
    assert period.is_past(0)


def test_what_is_no_rate_counts_no_times() -> None:
    period = Period(key(), DAY)
    period.pass_on((1, 2))
    assert period.spent == 0
    assert period.is_past(0)

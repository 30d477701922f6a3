"""What is set aside for one call; how a book makes and ends it is told in `test_budget.py`."""

import pytest

from ringfence.decisions.period import Period
from ringfence.decisions.reservation import (
    Reservation,
    Settled,
    Shortfall,
    free_tokens,
    settle_counts,
)
from ringfence.domain.budget import AccountKey, BudgetScope, Per, Unit, Window
from ringfence.domain.money import Money

DAY = Window(0, 86_400_000_000)


def period(unit: Unit = Unit.MONEY, *, limit: int = 100, used: int = 0) -> Period:
    made = Period(AccountKey("org_1", BudgetScope.AGENT, "agt_1", Per.DAY, unit), DAY)
    made.limit = made.cap = limit
    made.used = used
    return made


def test_a_reservation_is_taken_once() -> None:
    reservation = Reservation([period()], Money(10))
    assert len(reservation.take()) == 1
    with pytest.raises(RuntimeError, match="already"):
        reservation.take()


def test_its_lines_are_the_accounts_as_they_stand_now() -> None:
    money = period(used=10)
    reservation = Reservation([money], Money(10))
    money.used += 5
    assert [line.reserved for line in reservation.lines()] == [15]


def test_its_balances_leave_out_what_is_withheld_for_it() -> None:
    reservation = Reservation([period(used=60)], Money(60))
    assert reservation.balances() == [(0, 100, 40)]
    reservation.withheld = 20
    assert reservation.balances() == [(0, 100, 60)]


def test_its_periods_are_those_of_money_and_then_those_of_counts() -> None:
    money, tokens = period(), period(Unit.TOKENS)
    reservation = Reservation([money], Money(1), [(tokens, 8)])
    assert reservation.settled_periods() == [money]
    assert reservation.periods() == [money, tokens]


@pytest.mark.parametrize(
    ("used", "spent", "withheld", "overrun"), [(None, 8, 0, 0), (3, 3, 5, 0), (9, 9, 0, 1)]
)
def test_tokens_are_charged_as_they_were_used(
    used: int | None, spent: int, withheld: int, overrun: int
) -> None:
    tokens = period(Unit.TOKENS, used=8)
    reservation = Reservation([], Money(0), [(tokens, 8)])
    settle_counts(reservation, used)
    assert (tokens.spent, tokens.withheld, tokens.overrun) == (spent, withheld, overrun)
    assert reservation.withheld_tokens == withheld
    free_tokens(reservation)
    assert (tokens.withheld, tokens.used) == (0, spent)


def test_calls_are_charged_as_reserved_whatever_was_used() -> None:
    calls = period(Unit.MODEL_CALLS, used=1)
    settle_counts(Reservation([], Money(0), [(calls, 1)]), 5_000)
    assert (calls.spent, calls.withheld) == (1, 0)


def test_a_settlement_names_the_accounts_that_it_has_closed() -> None:
    over, under = period(used=101), period(used=99)
    settled = Settled(
        reservation=Reservation([over, under], Money(1)), cost=Money(1), overrun=Money(0)
    )
    assert [line.left for line in settled.closed] == [-1]


def test_a_shortfall_says_when_there_is_more() -> None:
    assert Shortfall(line=period().line(), needed=Money(1)).resets_at_us == DAY.end_us

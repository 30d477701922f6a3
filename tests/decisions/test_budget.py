"""The book of budgets: nothing passes a limit, nothing is lost, nothing is charged twice."""

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from ringfence.decisions.budget import Book
from ringfence.decisions.period import Line
from ringfence.decisions.reservation import Count, Demand, Reservation, Settled, Shortfall
from ringfence.decisions.window import window_of
from ringfence.domain.budget import AccountKey, BudgetScope, Per, Unit, Window
from ringfence.domain.money import Money

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
NOON = 20_000 * DAY_US + 12 * HOUR_US
MIDNIGHT = NOON + 12 * HOUR_US


def demand(
    limit: int,
    scope: BudgetScope = BudgetScope.AGENT,
    per: Per = Per.DAY,
    holder: str = "agt_1",
) -> Demand:
    return Demand(AccountKey("org_1", scope, holder, per), Money(limit), UTC)


def reserved(book: Book, demands: list[Demand], amount: int, now: int = NOON) -> Reservation:
    answer = book.reserve(demands, Money(amount), now)
    assert isinstance(answer, Reservation)
    return answer


def refused(book: Book, demands: list[Demand], amount: int, now: int = NOON) -> Shortfall:
    answer = book.reserve(demands, Money(amount), now)
    assert isinstance(answer, Shortfall)
    return answer


def settle(book: Book, reservation: Reservation, cost: int) -> Settled:
    settled = book.settle(reservation, Money(cost))
    book.free(reservation)
    return settled


def line(book: Book, wanted: Demand, now: int = NOON) -> Line:
    (only,) = book.lines([wanted], now)
    return only


def test_a_call_passes_up_to_the_last_nano_dollar() -> None:
    book, day = Book(), demand(100)
    settle(book, reserved(book, [day], 60), 60)
    reserved(book, [day], 40)
    assert refused(book, [day], 1).line.left == 0


def test_reservations_count_before_they_are_settled() -> None:
    """Forty concurrent calls against a budget for four: four pass."""
    book, day = Book(), demand(4)
    answers = [book.reserve([day], Money(1), NOON) for _ in range(40)]
    assert sum(isinstance(answer, Reservation) for answer in answers) == 4


def test_settling_below_the_reservation_gives_the_rest_back() -> None:
    book, day = Book(), demand(100)
    settled = settle(book, reserved(book, [day], 100), 30)
    assert settled.overrun == 0
    assert settled.closed == ()
    (after,) = settled.lines
    assert (after.spent, after.reserved, after.left) == (30, 0, 70)


def test_releasing_gives_everything_back() -> None:
    book, day = Book(), demand(100)
    book.release(reserved(book, [day], 100))
    assert line(book, day).left == 100


def test_all_scopes_are_reserved_or_none() -> None:
    book, agent = Book(), demand(100)
    team = demand(50, BudgetScope.TEAM, holder="team_1")
    shortfall = refused(book, [agent, team], 60)
    assert shortfall.line.key == team.key
    assert line(book, agent).reserved == 0
    assert [each.reserved for each in reserved(book, [agent, team], 50).lines()] == [50, 50]


def test_a_shortfall_names_the_tightest_budget_and_when_it_starts_again() -> None:
    book = Book()
    day, total = demand(30), demand(20, BudgetScope.TEAM, Per.TOTAL, "team_1")
    by_total = refused(book, [day, total], 40)
    assert by_total.line.key == total.key
    assert (by_total.line.limit, by_total.line.left, by_total.needed) == (20, 20, 40)
    assert by_total.resets_at_us is None
    assert refused(book, [day], 40).resets_at_us == MIDNIGHT


def test_of_equally_tight_budgets_the_narrowest_is_named() -> None:
    first, second = demand(10), demand(10, BudgetScope.TEAM, holder="team_1")
    assert refused(Book(), [first, second], 11).line.key == first.key


def test_the_first_ever_call_of_an_unknown_holder_meets_its_limit() -> None:
    assert refused(Book(), [demand(5, BudgetScope.USER, holder="user_new")], 6).line.left == 5


def test_a_new_window_starts_at_zero() -> None:
    book, day = Book(), demand(100)
    settle(book, reserved(book, [day], 100), 100)
    refused(book, [day], 1, MIDNIGHT - 1)
    reserved(book, [day], 100, MIDNIGHT)


def test_a_settlement_after_the_roll_charges_the_window_of_its_reservation() -> None:
    book, day = Book(), demand(100)
    late = reserved(book, [day], 100, MIDNIGHT - 1)
    early = reserved(book, [day], 60, MIDNIGHT)
    (old,) = settle(book, late, 80).lines
    assert old.window == window_of(Per.DAY, NOON, UTC)
    assert (old.spent, old.left) == (80, 20)
    (new,) = settle(book, early, 50).lines
    assert new.window == window_of(Per.DAY, MIDNIGHT, UTC)
    assert (new.spent, new.left) == (50, 50)


def test_a_clock_that_steps_back_over_midnight_opens_nothing_anew() -> None:
    book, day = Book(), demand(100)
    settle(book, reserved(book, [day], 100, MIDNIGHT - 2), 100)
    settle(book, reserved(book, [day], 100, MIDNIGHT), 100)
    refused(book, [day], 1, MIDNIGHT - 1)


def test_an_overrun_is_charged_in_full_and_reported() -> None:
    book, day = Book(), demand(100)
    settled = settle(book, reserved(book, [day], 10), 25)
    assert (settled.cost, settled.overrun) == (25, 15)
    (after,) = settled.lines
    assert (after.spent, after.overrun, after.left) == (25, 15, 75)


def test_an_overrun_that_the_budget_covers_closes_nothing() -> None:
    book, day = Book(), demand(100)
    assert settle(book, reserved(book, [day], 10), 100).closed == ()
    reserved(book, [day], 0)


def test_an_uncovered_overrun_closes_its_scope_even_for_a_free_call() -> None:
    book, day = Book(), demand(100)
    total = demand(1_000, BudgetScope.TEAM, Per.TOTAL, "team_1")
    settled = settle(book, reserved(book, [day, total], 100), 101)
    assert [closed.key for closed in settled.closed] == [day.key]
    shortfall = refused(book, [day, total], 0)
    assert shortfall.line.left == -1
    assert shortfall.line.is_closed
    reserved(book, [total], 0)


def test_a_grant_covers_an_overrun() -> None:
    book, day = Book(), demand(100)
    settle(book, reserved(book, [day], 100), 120)
    book.grant(day.key, line(book, day).window.start_us, Money(19))
    refused(book, [day], 0)
    book.grant(day.key, line(book, day).window.start_us, Money(1))
    reserved(book, [day], 0)


def test_the_next_window_covers_an_overrun() -> None:
    book, day = Book(), demand(100)
    settle(book, reserved(book, [day], 100), 120)
    refused(book, [day], 0)
    reserved(book, [day], 100, MIDNIGHT)


def test_a_cheaper_settlement_of_another_call_covers_an_overrun() -> None:
    book, day = Book(), demand(100)
    other, over = reserved(book, [day], 50), reserved(book, [day], 50)
    assert settle(book, over, 60).closed
    refused(book, [day], 0)
    settle(book, other, 10)
    reserved(book, [day], 30)


def test_a_grant_raises_the_limit_of_its_window_only() -> None:
    book, day = Book(), demand(100)
    today = window_of(Per.DAY, NOON, UTC).start_us
    book.grant(day.key, today, Money(50))
    assert line(book, day).limit == 150
    reserved(book, [day], 150)
    refused(book, [day], 101, MIDNIGHT)
    book.grant(day.key, today, Money(50))
    refused(book, [day], 101, MIDNIGHT)


def test_a_limit_changed_by_a_reload_holds_from_the_next_reservation() -> None:
    book = Book()
    settle(book, reserved(book, [demand(100)], 80), 80)
    lowered = refused(book, [demand(50)], 0)
    assert (lowered.line.limit, lowered.line.left) == (50, -30)
    reserved(book, [demand(200)], 120)


def test_what_the_store_knows_counts_from_the_first_call() -> None:
    book, day = Book(), demand(100)
    book.load(day.key, window_of(Per.DAY, NOON, UTC).start_us, Money(70), granted=Money(10))
    assert line(book, day).left == 40
    refused(book, [day], 41)
    refused(book, [day], 101, MIDNIGHT)


def test_what_the_store_knows_is_listed_before_the_first_call() -> None:
    book, day = Book(), demand(100)
    start_us = window_of(Per.DAY, NOON, UTC).start_us
    book.load(day.key, start_us, Money(70))
    [loaded] = book.standing(day.key.organisation, NOON)
    assert (loaded.spent, loaded.window) == (70, Window(start_us, start_us))
    line(book, day)
    [known] = book.standing(day.key.organisation, NOON)
    assert (known.spent, known.window.end_us) == (70, MIDNIGHT)
    assert book.standing(day.key.organisation, MIDNIGHT) == ()


def test_a_window_that_is_over_does_not_count_when_it_is_loaded() -> None:
    book, day = Book(), demand(100)
    book.load(day.key, window_of(Per.DAY, NOON, UTC).start_us, Money(70))
    reserved(book, [day], 100, MIDNIGHT)


@pytest.mark.parametrize("newest_first", [False, True])
def test_of_several_loaded_windows_the_newest_counts(*, newest_first: bool) -> None:
    book, day = Book(), demand(100)
    rows = [(MIDNIGHT - DAY_US, 70), (MIDNIGHT, 20)]
    for start, spent in reversed(rows) if newest_first else rows:
        book.load(day.key, start, Money(spent))
    assert line(book, day, MIDNIGHT).spent == 20


@pytest.mark.parametrize("per", [Per.TOTAL, Per.TREE])
def test_a_budget_without_end_is_loaded_too(per: Per) -> None:
    book, total = Book(), demand(100, per=per)
    book.load(total.key, 0, Money(70))
    refused(book, [total], 31)


def test_a_loaded_window_that_began_within_the_present_one_still_counts() -> None:
    book, day = Book(), demand(100)
    book.load(day.key, window_of(Per.DAY, NOON, UTC).start_us, Money(70))
    moved = Demand(day.key, day.limit, ZoneInfo("Asia/Kolkata"))
    assert line(book, moved).spent == 70


def test_what_a_call_did_not_cost_is_withheld_until_its_outcome_is_durable() -> None:
    book, day, total = Book(), demand(100), demand(150, per=Per.TOTAL)
    reservation = reserved(book, [day, total], 100)
    book.settle(reservation, Money(30))
    assert (line(book, day).spent, line(book, day).reserved) == (30, 70)
    assert not book.is_withholding([day], Money(0), NOON, ())
    assert book.is_withholding([day, total], Money(1), NOON, ())
    refused(book, [day], 1)
    book.free(reservation)
    assert (line(book, day).spent, line(book, day).reserved) == (30, 0)
    assert not book.is_withholding([day], Money(100), NOON, ())
    reserved(book, [day], 70)


def end(book: Book, reservation: Reservation, how: str) -> None:
    if how == "settle":
        settle(book, reservation, 0)
    else:
        book.release(reservation)


@pytest.mark.parametrize("first", ["settle", "release"])
@pytest.mark.parametrize("second", ["settle", "release"])
def test_a_reservation_ends_once(first: str, second: str) -> None:
    book, day = Book(), demand(100)
    reservation = reserved(book, [day], 10)
    end(book, reservation, first)
    with pytest.raises(RuntimeError, match="already"):
        end(book, reservation, second)
    assert line(book, day).left == 100


def test_negative_money_is_a_bug_and_changes_nothing() -> None:
    book, day = Book(), demand(100)
    with pytest.raises(ValueError, match="negative"):
        book.reserve([day], Money(-1), NOON)
    reservation = reserved(book, [day], 10)
    with pytest.raises(ValueError, match="negative"):
        settle(book, reservation, -1)
    book.release(reservation)


def test_what_is_left_is_the_least_of_all_and_none_without_a_budget() -> None:
    book = Book()
    assert book.left([demand(30), demand(20, BudgetScope.TEAM)], NOON) == 20
    assert book.left([], NOON) is None
    assert settle(book, reserved(book, [], 10), 20).lines == ()


def test_closed_invocations_leave_nothing_behind() -> None:
    book = Book()
    for number in range(1_000):
        holder = f"inv_{number}"
        calls = [
            demand(10, BudgetScope.INVOCATION, Per.INVOCATION, holder),
            demand(10, BudgetScope.TREE, Per.TREE, holder),
            demand(10_000),
        ]
        settle(book, reserved(book, calls, 10), 1)
        book.forget(holder)
    assert list(book.keys()) == [demand(0).key]
    assert line(book, demand(10_000)).spent == 1_000


def test_a_call_of_a_forgotten_invocation_still_settles() -> None:
    book, run = Book(), demand(10, BudgetScope.INVOCATION, Per.INVOCATION, "inv_1")
    reservation = reserved(book, [run], 10)
    book.forget("inv_1")
    assert settle(book, reservation, 4).lines[0].spent == 4
    assert len(book) == 0


def test_past_windows_are_dropped_and_their_calls_still_settle() -> None:
    book, day = Book(), demand(10)
    total = demand(10, per=Per.TOTAL)
    reservation = reserved(book, [day, total], 10)
    assert book.drop_past(MIDNIGHT - 1) == 0
    assert book.drop_past(MIDNIGHT) == 1
    assert settle(book, reservation, 4).lines[0].spent == 4
    assert list(book.keys()) == [total.key]


def test_a_loaded_window_is_not_dropped_before_it_was_asked_for() -> None:
    book, day = Book(), demand(10)
    book.load(day.key, window_of(Per.DAY, NOON, UTC).start_us, Money(10))
    book.drop_past(NOON)
    refused(book, [day], 1)


KEYS = [
    AccountKey("org_1", BudgetScope.INVOCATION, "inv_1", Per.INVOCATION),
    AccountKey("org_1", BudgetScope.AGENT, "agt_1", Per.HOUR),
    AccountKey("org_1", BudgetScope.AGENT, "agt_1", Per.DAY),
    AccountKey("org_1", BudgetScope.ORGANISATION, "org_1", Per.TOTAL),
]
money = st.integers(0, 60)


class Books(RuleBasedStateMachine):
    """A book beside a plain model of it: every charge and reservation written down by window."""

    calls = Bundle("calls")
    settled = Bundle("settled")

    def __init__(self) -> None:
        super().__init__()
        self.book = Book()
        self.now = NOON
        self.limits = dict.fromkeys(KEYS, 100)
        self.spent: dict[tuple[AccountKey, int], int] = {}
        self.held: dict[tuple[AccountKey, int], int] = {}
        self.overrun: dict[tuple[AccountKey, int], int] = {}
        self.granted: dict[tuple[AccountKey, int], int] = {}
        self.lowered: set[AccountKey] = set()
        self.charged = 0

    def window(self, key: AccountKey) -> tuple[AccountKey, int]:
        return key, window_of(key.per, self.now, UTC).start_us

    def demands(self, keys: list[AccountKey]) -> list[Demand]:
        return [Demand(key, Money(self.limits[key]), UTC) for key in keys]

    def left(self, key: AccountKey) -> int:
        at = self.window(key)
        return (
            self.limits[key]
            + self.granted.get(at, 0)
            - self.spent.get(at, 0)
            - self.held.get(at, 0)
        )

    @rule(
        target=calls,
        keys=st.lists(st.sampled_from(KEYS), unique=True, max_size=4),
        amount=money,
    )
    def reserve(self, keys: list[AccountKey], amount: int) -> object:
        answer = self.book.reserve(self.demands(keys), Money(amount), self.now)
        if any(self.left(key) < amount for key in keys):
            assert isinstance(answer, Shortfall)
            assert answer.line.left == min(self.left(key) for key in keys)
            return multiple()
        assert isinstance(answer, Reservation)
        at = [self.window(key) for key in keys]
        for each in at:
            self.held[each] = self.held.get(each, 0) + amount
        self.lowered.difference_update(keys)
        return answer, at

    @rule(target=settled, call=consumes(calls), cost=money)
    def settle(self, call: tuple[Reservation, list[tuple[AccountKey, int]]], cost: int) -> object:
        reservation, at = call
        settled = self.book.settle(reservation, Money(cost))
        excess = max(cost - reservation.amount, 0)
        assert settled.overrun == excess
        for each, after in zip(at, settled.lines, strict=True):
            self.held[each] -= min(cost, reservation.amount)
            self.spent[each] = self.spent.get(each, 0) + cost
            self.overrun[each] = self.overrun.get(each, 0) + excess
            self.charged += cost
            assert (after.key, after.window.start_us) == each
            assert after.spent == self.spent[each]
            assert after.reserved == self.held[each]
        return reservation, at, reservation.amount - cost

    @rule(call=consumes(settled))
    def free(self, call: tuple[Reservation, list[tuple[AccountKey, int]], int]) -> None:
        reservation, at, rest = call
        self.book.free(reservation)
        for each in at:
            self.held[each] -= max(rest, 0)

    @rule(call=consumes(calls))
    def release(self, call: tuple[Reservation, list[tuple[AccountKey, int]]]) -> None:
        reservation, at = call
        self.book.release(reservation)
        for each in at:
            self.held[each] -= reservation.amount

    @rule(step=st.sampled_from([1, HOUR_US // 2, HOUR_US, DAY_US]))
    def wait(self, step: int) -> None:
        self.now += step

    @rule(key=st.sampled_from(KEYS), amount=money)
    def grant(self, key: AccountKey, amount: int) -> None:
        at = self.window(key)
        self.book.grant(key, at[1], Money(amount))
        self.granted[at] = self.granted.get(at, 0) + amount

    @rule(key=st.sampled_from(KEYS), limit=st.integers(0, 200))
    def reload(self, key: AccountKey, limit: int) -> None:
        if limit < self.limits[key]:
            self.lowered.add(key)
        self.limits[key] = limit

    @rule()
    def tidy(self) -> None:
        self.book.drop_past(self.now)

    @invariant()
    def nothing_passes_a_limit(self) -> None:
        """I2; a limit that a person lowered below what is used holds from then on."""
        for key, each in zip(KEYS, self.book.lines(self.demands(KEYS), self.now), strict=True):
            at = self.window(key)
            assert each.window.start_us == at[1]
            assert each.spent == self.spent.get(at, 0) >= 0
            assert each.reserved == self.held.get(at, 0) >= 0
            assert each.left == self.left(key)
            if key not in self.lowered:
                assert each.spent + each.reserved <= each.limit + self.overrun.get(at, 0)

    @invariant()
    def every_charge_is_in_the_books(self) -> None:
        assert self.charged == sum(self.spent.values())


Books.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestBooks = Books.TestCase


def test_a_window_in_a_line_says_its_end() -> None:
    assert line(Book(), demand(1)).window == Window(MIDNIGHT - DAY_US, MIDNIGHT)


def test_what_is_used_up_for_good_is_told_before_a_rate_in_whatever_order_they_stand() -> None:
    rate = AccountKey("org_1", BudgetScope.USER, "user_1", Per.TOTAL, Unit.CALLS_PER_MINUTE)
    tokens = AccountKey("org_1", BudgetScope.TREE, "inv_1", Per.TREE, Unit.TOKENS)
    counts = (Count(Demand(rate, Money(1), UTC), 1), Count(Demand(tokens, Money(10), UTC), 8))
    for order in (counts, counts[::-1]):
        book = Book()
        assert isinstance(book.reserve([], Money(0), 1_000_000, order), Reservation)
        short = book.reserve([], Money(0), 1_000_001, order)
        assert isinstance(short, Shortfall)
        assert short.line.key.unit is Unit.TOKENS
        assert {line.reserved for line in book.lines([counts[1].demand], 70_000_000)} == {8}

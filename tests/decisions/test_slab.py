from datetime import UTC
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.decisions.leasing import Pictures, Post

from ringfence.decisions.reservation import Count, Demand, Reservation, Shortfall
from ringfence.decisions.slab import ASKED_IN_PART, CALLS_AHEAD, COUNTS_AHEAD, LentBook
from ringfence.decisions.window import window_of
from ringfence.domain.budget import AccountKey, BudgetScope, Per, Unit
from ringfence.domain.lease import Returned, Slab, Spent, Want
from ringfence.domain.money import Money

NOON = 1_795_003_200_000_000
HOUR = window_of(Per.HOUR, NOON, UTC)
HOURLY = AccountKey("org_1", BudgetScope.AGENT, "agt_1", Per.HOUR)
RUN = AccountKey("org_1", BudgetScope.INVOCATION, "inv_1", Per.INVOCATION)
CALLS = AccountKey("org_1", BudgetScope.TREE, "inv_1", Per.TREE, Unit.MODEL_CALLS)


def demand(key: AccountKey = HOURLY, limit: int = 100) -> Demand:
    return Demand(key, Money(limit), UTC)


def slab(key: AccountKey, amount: int, free: int, *, start_us: int | None = None) -> Slab:
    start = HOUR.start_us if key is HOURLY else 0
    end = HOUR.end_us if key is HOURLY else None
    return Slab(
        key=key,
        window_start_us=start if start_us is None else start_us,
        window_end_us=end,
        amount=amount,
        limit=100,
        free=free,
    )


def reserve(book: LentBook, *demands: Demand, amount: int, now_us: int = NOON) -> Reservation:
    reserved = book.reserve(demands, Money(amount), now_us)
    assert isinstance(reserved, Reservation)
    return reserved


def test_nothing_is_reserved_before_it_is_lent_not_even_nothing() -> None:
    book = LentBook()
    for amount in (0, 1):
        assert isinstance(book.reserve((demand(),), Money(amount), NOON), Shortfall)
    book.receive([slab(HOURLY, 0, 100)])
    reserve(book, demand(), amount=0)
    assert isinstance(book.reserve((demand(),), Money(1), NOON), Shortfall)


def test_what_is_wanted_is_what_is_missing_and_enough_for_some_calls() -> None:
    book = LentBook()
    book.receive([slab(HOURLY, 30, 70)])
    reserve(book, demand(), amount=20)
    counts = (Count(demand(CALLS, 50), 1),)
    wants = book.wants((demand(), demand(RUN)), Money(15), NOON, counts)
    assert wants == (
        Want(
            key=HOURLY,
            window_start_us=HOUR.start_us,
            window_end_us=HOUR.end_us,
            limit=100,
            need=5,
            each=15,
            calls=CALLS_AHEAD,
        ),
        Want(
            key=RUN,
            window_start_us=0,
            window_end_us=None,
            limit=100,
            need=15,
            each=15,
            calls=CALLS_AHEAD,
        ),
        Want(
            key=CALLS,
            window_start_us=0,
            window_end_us=None,
            limit=50,
            need=1,
            each=1,
            calls=COUNTS_AHEAD,
        ),
    )
    assert book.wants((demand(),), Money(10), NOON, ()) == ()


def test_a_report_says_each_thing_once() -> None:
    book = LentBook()
    book.receive([slab(HOURLY, 50, 50)])
    first, _running = reserve(book, demand(), amount=20), reserve(book, demand(), amount=10)
    book.settle(first, Money(12))
    book.free(first)
    said = Spent(key=HOURLY, window_start_us=HOUR.start_us, amount=12, reserved=10)
    assert book.report().spent == (said,)
    assert book.report().spent == ()
    assert book.left((demand(),), NOON) == 28


def test_what_is_spent_beyond_a_lease_is_reported_as_uncovered_and_closes_the_account() -> None:
    book = LentBook()
    book.receive([slab(HOURLY, 20, 0)])
    book.settle(reserve(book, demand(), amount=20), Money(33))
    [said] = book.report().spent
    assert (said.amount, said.uncovered, said.overrun) == (33, 13, 13)
    assert isinstance(book.reserve((demand(),), Money(0), NOON), Shortfall)
    book.receive([slab(HOURLY, 5, 2)])
    reserve(book, demand(), amount=5)


def test_only_what_is_idle_goes_back() -> None:
    book = LentBook()
    book.receive([slab(HOURLY, 50, 50)])
    reserve(book, demand(), amount=20)
    back = book.give_back([(HOURLY, HOUR.start_us), (RUN, 0)])
    assert back.returned == (Returned(HOURLY, HOUR.start_us, 30),)
    assert back.spent == (Spent(key=HOURLY, window_start_us=HOUR.start_us, reserved=20),)
    assert book.left((demand(),), NOON) == 0
    assert book.restate().returned == ()


def test_an_event_shows_at_least_what_is_left_for_all() -> None:
    book = LentBook()
    book.receive([slab(HOURLY, 30, 40)])
    running = reserve(book, demand(), amount=20)
    assert running.balances() == [(HOUR.start_us, 100, 50)]
    book.settle(running, Money(5))
    book.free(running)
    book.report()
    assert running.balances() == [(HOUR.start_us, 100, 65)]


def test_the_slab_of_a_window_that_is_over_goes_back_with_the_next_report() -> None:
    book = LentBook()
    book.receive([slab(HOURLY, 30, 70)])
    running = reserve(book, demand(), amount=20)
    assert HOUR.end_us is not None
    assert isinstance(book.reserve((demand(),), Money(1), HOUR.end_us), Shortfall)
    assert book.report().returned == (Returned(HOURLY, HOUR.start_us, 10),)
    # A slab that was on its way when the window ended is of no use either.
    book.receive([slab(HOURLY, 7, 63)])
    assert book.report().returned == (Returned(HOURLY, HOUR.start_us, 7),)
    book.settle(running, Money(15))
    book.free(running)
    back = book.report()
    assert back.spent[0].amount == 15
    assert back.returned == (Returned(HOURLY, HOUR.start_us, 5),)
    assert book.report().spent == ()


def test_a_slab_for_a_closed_invocation_is_dropped() -> None:
    book = LentBook()
    book.receive([slab(RUN, 50, 50)])
    running = reserve(book, demand(RUN), amount=10)
    book.forget("inv_1")
    book.receive([slab(RUN, 5, 45)])
    book.settle(running, Money(10))
    assert len(book) == 0
    assert list(book.held()) == []


def test_a_rate_is_reported_with_its_times() -> None:
    key = AccountKey("org_1", BudgetScope.USER, "user_1", Per.TOTAL, Unit.CALLS_PER_MINUTE)
    counts = (Count(demand(key, 100), 1),)
    book = LentBook()
    book.receive([slab(key, 2, 98)])
    for second in range(2):
        now_us = NOON + second * 70_000_000
        assert isinstance(book.reserve((), Money(0), now_us, counts), Reservation)
    assert isinstance(book.reserve((), Money(0), NOON + 200_000_000, counts), Shortfall)
    [said] = book.report().spent
    assert (said.amount, said.times_us) == (2, (NOON, NOON + 70_000_000))


def test_a_rate_that_rests_goes_back_and_one_that_is_drawn_on_does_not() -> None:
    key = AccountKey("org_1", BudgetScope.USER, "user_1", Per.TOTAL, Unit.CALLS_PER_MINUTE)
    counts = (Count(demand(key, 100), 1),)
    book = LentBook()
    book.receive([slab(key, 5, 95)])
    for second in range(4):
        assert isinstance(book.reserve((), Money(0), NOON, counts), Reservation)
        assert book.drop_past(NOON + second) == 0
        assert book.report().returned == ()
    assert book.drop_past(NOON) == 1
    assert book.report().returned == (Returned(key, 0, 1),)
    assert len(book) == 0
    assert book.report().spent == ()


def test_who_asks_again_gives_everything_back_and_asks_for_all_of_it() -> None:
    book = LentBook()
    book.receive([slab(HOURLY, 30, 70)])
    reserve(book, demand(), amount=10)
    counts = (Count(demand(CALLS, 50), 1),)
    wants = book.whole_wants((demand(), demand(RUN)), Money(15), NOON, counts)
    assert [(each.key, each.need) for each in wants] == [(HOURLY, 15), (RUN, 15), (CALLS, 1)]
    assert book.report().returned == (Returned(HOURLY, HOUR.start_us, 20),)


SHARED = [AccountKey("org_1", BudgetScope.TEAM, f"team_{number}", Per.TOTAL) for number in range(3)]


def step(post: Post, chance: Random) -> None:
    """Deliver a letter; those of one sender to one receiver come in the order of sending."""
    heads = {(each.sender, each.receiver): each for each in reversed(post.letters)}
    post.deliver(heads[chance.choice(sorted(heads))])


@settings(max_examples=300)
@given(
    chance=st.randoms(use_true_random=False),
    held=st.lists(st.integers(0, 3), min_size=3, max_size=3),
    calls=st.lists(
        st.tuples(st.integers(0, 3), st.sets(st.integers(0, 2), min_size=1), st.integers(1, 100)),
        min_size=2,
        max_size=6,
    ),
    is_shared=st.booleans(),
)
def test_calls_that_lack_what_others_hold_are_decided_in_bounded_rounds_and_one_goes_on(
    *,
    chance: Random,
    held: list[int],
    calls: list[tuple[int, set[int], int]],
    is_shared: bool,
) -> None:
    """Two that each held what the other lacked once traded it for ever."""
    post = Post()
    post.now = NOON
    if is_shared:
        post.broker = Pictures()
    workers = [post.hire(f"w{number}") for number in range(4)]
    for key, holder in zip(SHARED, held, strict=True):
        first = post.ask(workers[holder], (demand(key),), 100)
        post.settle_everything()
        assert isinstance(first.outcome, Reservation)
        workers[holder].book.release(first.outcome)
    asked = [
        post.ask(workers[at], tuple(demand(SHARED[each]) for each in sorted(which)), amount)
        for at, which, amount in calls
    ]
    # A take and its answer, and for each account a recall of each other worker with its answer.
    most_letters = len(calls) * (ASKED_IN_PART + len(calls) + 1) * (2 + 2 * 3 * len(SHARED))
    for _ in range(most_letters):
        if not post.letters:
            break
        step(post, chance)
    assert not post.letters
    assert all(each.outcome is not None for each in asked)
    assert max(each.rounds for each in asked) <= ASKED_IN_PART + len(calls)
    if len({at for at, _, _ in calls}) == len(calls):
        # Calls of one worker share what it holds, and may leave each other too little of it.
        assert any(isinstance(each.outcome, Reservation) for each in asked)

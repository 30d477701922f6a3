from collections.abc import Iterator
from datetime import UTC

from hypothesis import given
from hypothesis import strategies as st

from ringfence.decisions.budget import Book
from ringfence.decisions.due import Due
from ringfence.decisions.lease import Broker
from ringfence.decisions.reservation import Demand, Reservation
from ringfence.decisions.slab import LentBook
from ringfence.decisions.window import window_of
from ringfence.domain.budget import AccountKey, BudgetScope, Per
from ringfence.domain.lease import Holder, Take, Taken
from ringfence.domain.money import Money

NOON = 1_795_003_200_000_000
TOMORROW = window_of(Per.DAY, NOON, UTC).end_us or 0


def test_what_is_due_is_taken_once_the_earliest_first() -> None:
    due: Due[str] = Due()
    for key, at_us in (("b", 5), ("a", 3), ("c", 9)):
        due.put(key, at_us)
    assert due.take(2) == []
    assert due.take(5) == ["a", "b"]
    assert due.take(8) == []
    assert (due.take(9), len(due)) == (["c"], 0)


def test_a_key_that_waits_keeps_its_time_and_may_be_put_again_later() -> None:
    due: Due[str] = Due()
    due.put("a", 3)
    due.put("a", 1)
    assert (due.take(2), len(due)) == ([], 1)
    assert due.take(3) == ["a"]
    due.put("a", 7)
    assert due.take(7) == ["a"]


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 50)), st.lists(st.integers(0, 60)))
def test_everything_is_taken_at_the_first_look_after_its_time(
    times: dict[str, int], looks: list[int]
) -> None:
    due: Due[str] = Due()
    for key, at_us in times.items():
        due.put(key, at_us)
    taken: set[str] = set()
    for now_us in sorted(looks):
        taken.update(due.take(now_us))
        assert taken == {key for key, at_us in times.items() if at_us <= now_us}


class Unwalked(dict):  # type: ignore[type-arg] # of any keys
    """Nobody goes over all of it."""

    def __iter__(self) -> Iterator[object]:
        raise AssertionError("all accounts were looked at")

    def items(self) -> None:  # type: ignore[override] # it is not for use
        raise AssertionError("all accounts were looked at")

    def values(self) -> None:  # type: ignore[override] # the same
        raise AssertionError("all accounts were looked at")


def daily(number: int) -> Demand:
    key = AccountKey("org_1", BudgetScope.USER, f"usr_{number}", Per.DAY)
    return Demand(key, Money(100), UTC)


def test_what_is_over_is_dropped_without_a_look_at_what_is_not() -> None:
    book, broker, lent = Book(), Broker(), LentBook()
    worker = Holder("w1")
    for number in range(50):
        reserved = book.reserve((daily(number),), Money(1), NOON)
        assert isinstance(reserved, Reservation)
        wants = lent.wants((daily(number),), Money(1), NOON, ())
        taken = broker.take(worker, Take(epoch=1, wants=wants), NOON)
        assert isinstance(taken, Taken)
        lent.receive(taken.slabs)
    book._periods = Unwalked(book._periods)  # noqa: SLF001 (whether it is walked)
    lent._periods = Unwalked(lent._periods)  # noqa: SLF001 (the same)
    broker._accounts = Unwalked(broker._accounts)  # noqa: SLF001 (the same)
    assert (book.drop_past(NOON), lent.drop_past(NOON), broker.drop_past(NOON)) == (0, 0, 0)
    assert (book.drop_past(TOMORROW), lent.drop_past(TOMORROW)) == (50, 50)
    broker.report(worker, lent.report())
    assert broker.drop_past(TOMORROW) == 50
    assert (len(book), len(lent), len(broker)) == (0, 0, 0)

"""Long books are read in turns: nobody else waits for the whole of it."""

import asyncio
from datetime import UTC

import pytest

from ringfence.app.standing import in_turns
from ringfence.decisions.budget import Book
from ringfence.decisions.lease import Broker
from ringfence.decisions.reservation import Demand
from ringfence.domain.budget import AccountKey, BudgetScope, Per
from ringfence.domain.money import Money

NOW_US = 1_000_000


def key(organisation: str, number: int) -> AccountKey:
    return AccountKey(organisation, BudgetScope.USER, f"user_{number}", Per.TOTAL)


def book(count: int) -> Book:
    made = Book()
    for number in range(count):
        for organisation in ("org_1", "org_2"):
            made.reserve([Demand(key(organisation, number), Money(9), UTC)], Money(1), NOW_US)
    return made


def broker(count: int) -> Broker:
    made = Broker()
    for number in range(count):
        for organisation in ("org_1", "org_2"):
            made.load(key(organisation, number), 0, 1)
    return made


@pytest.mark.parametrize("make", [book, broker])
def test_others_have_their_turn_while_a_long_book_is_read(make: object) -> None:
    assert callable(make)

    async def story() -> None:
        read = make(5000)
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        other = asyncio.create_task(others())
        lines = await in_turns(read.standing_in_turns("org_1", NOW_US))
        other.cancel()
        assert turns >= 9
        assert {line.key.organisation for line in lines} == {"org_1"}
        assert len(lines) == 5000
        assert lines == list(read.standing("org_1", NOW_US))

    asyncio.run(story())


@pytest.mark.parametrize("make", [book, broker])
def test_what_changes_meanwhile_is_no_error(make: object) -> None:
    assert callable(make)
    read = make(2000)
    parts = read.standing_in_turns("org_1", NOW_US)
    first = next(parts)
    if isinstance(read, Book):
        read.reserve([Demand(key("org_1", 9_999), Money(9), UTC)], Money(1), NOW_US)
    else:
        read.load(key("org_1", 9_999), 0, 1)
    rest = [line for part in parts for line in part]
    assert len(first) + len(rest) == 2000

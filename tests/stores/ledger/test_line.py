import asyncio
from collections.abc import Iterator

import pytest
from tests.stores.ledger.event import intent, outcome, refusal

from ringfence.domain.event import AnyEvent
from ringfence.stores.ledger.line import Group, Line
from ringfence.stores.ledger.segment import GROUP


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


def an_outcome(name: str) -> AnyEvent:
    return outcome(intent(name))


def names(group: Group) -> list[str]:
    return [getattr(event, "action", "") for event, _ in group.all()]


def test_what_nobody_waits_for_comes_before_what_came_later(
    loop: asyncio.AbstractEventLoop,
) -> None:
    line = Line()
    line.add(refusal("ref_1"), None)
    line.add(an_outcome("act_1"), None)
    line.wait(intent("act_2"), None, loop.create_future())
    assert names(line.take()) == ["act_1", "ref_1", "act_2"]
    assert line.is_empty()


def test_those_who_wait_are_not_held_up_by_many_outcomes(loop: asyncio.AbstractEventLoop) -> None:
    line = Line()
    for n in range(60):
        line.add(an_outcome(f"out_{n}"), None)
        line.wait(intent(f"act_{n}"), None, loop.create_future())
    group = line.take()
    assert len(group.waiting) == 60
    assert names(group)[:16] == [f"out_{n}" for n in range(16)]
    assert len(group.items) == 16
    assert names(line.take()) == [f"out_{n}" for n in range(16, 60)]


def test_outcomes_never_wait_for_ever(loop: asyncio.AbstractEventLoop) -> None:
    """Each round as many calls begin as end, and somebody always waits."""
    line = Line()
    for n in range(3000):
        line.add(an_outcome(f"out_{n}"), None)
    left = 3000
    for _ in range(100):
        for n in range(GROUP):
            line.wait(intent(f"act_{n}"), None, loop.create_future())
        left -= len(line.take().items)
    assert left < GROUP


def test_a_group_is_bounded(loop: asyncio.AbstractEventLoop) -> None:
    line = Line()
    for n in range(500):
        line.add(an_outcome(f"out_{n}"), None)
        line.add(refusal(f"ref_{n}"), None)
        line.wait(intent(f"act_{n}"), None, loop.create_future())
    while not line.is_empty():
        assert 0 < len(line.take().all()) <= GROUP


def test_a_group_that_was_put_back_comes_again_in_the_same_order() -> None:
    line = Line()
    for n in range(4):
        line.add(an_outcome(f"out_{n}"), None)
        line.add(refusal(f"ref_{n}"), None)
    group = line.take()
    line.put_back(group)
    assert names(line.take()) == names(group)


def test_who_asks_for_everything_waits_for_what_came_before_and_no_more(
    loop: asyncio.AbstractEventLoop,
) -> None:
    line = Line()
    before = [intent("act_1"), intent("act_2")]
    line.add(refusal("ref_1"), None)
    line.add(outcome(before[0]), None)
    line.wait(None, None, loop.create_future())
    line.add(outcome(before[1]), None)
    line.wait(intent("act_3"), None, loop.create_future())
    assert not line.is_flushed()
    group = line.take()
    assert group.waiting == []
    line.count_written(group)
    assert line.is_flushed()
    assert len(line.take_flushed()) == 1
    assert [one.event for one in line.take().waiting] == [intent("act_3")]


def test_records_are_bounded_and_outcomes_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringfence.stores.ledger.line._BACKLOG", 2)
    line = Line()
    assert [line.add(refusal(f"ref_{n}"), None) for n in range(3)] == [True, True, False]
    assert all(line.add(an_outcome(f"out_{n}"), None) for n in range(5))
    assert len(line.clear()) == 7

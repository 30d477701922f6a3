"""What comes again is counted, within bounds that nobody can talk it out of."""

from ringfence.enforcement.repeat import REPEAT_WINDOW_US, Counted, Repeats
from ringfence.testing.clock import ManualClock


class Tally:
    def __init__(self, most: int = 10, per_minute: int = 10) -> None:
        self.clock = ManualClock()
        self.written: list[tuple[str, str, int]] = []
        self.repeats: Repeats[str, str] = Repeats(
            self.clock, self.write, most=most, per_minute=per_minute
        )

    def write(self, counted: Counted[str]) -> None:
        self.written.append((counted.what, counted.action, counted.repeats))

    def come(self, cause: str) -> str:
        now_us = self.clock.now_us()
        first = self.repeats.again(cause, now_us)
        if first is None:
            first = f"act_{cause}_{now_us}"
            self.repeats.add(cause, cause, first, now_us)
        return first


def test_a_repeat_is_the_first_one_again_until_its_window_is_over() -> None:
    tally = Tally()
    first = tally.come("a")
    tally.clock.advance(REPEAT_WINDOW_US - 1)
    assert tally.come("a") == first
    tally.clock.advance(REPEAT_WINDOW_US)
    assert tally.come("a") != first
    assert tally.written == [("a", first, 1)]


def test_what_never_came_again_is_not_written_twice() -> None:
    tally = Tally()
    tally.come("a")
    tally.repeats.flush(everything=True)
    assert tally.written == []


def test_the_oldest_cause_is_written_out_early_when_there_are_too_many() -> None:
    tally = Tally(most=2)
    first = tally.come("a")
    tally.come("a")
    tally.come("b")
    tally.come("c")
    assert tally.written == [("a", first, 1)]


def test_a_source_brings_so_many_causes_in_a_minute_and_others_are_not_concerned() -> None:
    tally = Tally(per_minute=2)
    now_us = tally.clock.now_us()
    assert [tally.repeats.may_add("one", now_us) for _ in range(3)] == [True, True, False]
    assert tally.repeats.may_add("two", now_us)
    tally.clock.advance(60_000_000)
    assert tally.repeats.may_add("one", tally.clock.now_us())


def test_what_cannot_come_again_is_written_out_at_once() -> None:
    tally = Tally()
    first = tally.come("a")
    tally.come("a")
    tally.come("b")
    tally.come("b")
    tally.repeats.end(lambda cause: cause == "a")
    assert tally.written == [("a", first, 1)]

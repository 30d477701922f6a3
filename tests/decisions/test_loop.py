"""Loops: the same calls with the same results in periods of 1 to 4, and nothing else."""

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.decisions.loop import (
    PERIODS,
    SEEN_KEPT,
    Loop,
    LoopKind,
    Repetition,
    decide,
    threshold_of,
)
from ringfence.domain.agent import LoopLimits, Threshold
from ringfence.domain.exchange import Round, ToolUse

USUAL = LoopLimits()
NEVER = Threshold(hint=None, stop=None)
SAID: Round = ()


def use(name: str, result: str = "", arguments: str = "{}") -> Round:
    return (ToolUse(name, arguments.encode(), result.encode()),)


def fed(rounds: Iterable[Round]) -> Repetition:
    found = Repetition()
    for each in rounds:
        found.take(each)
    return found


def verdicts(rounds: Sequence[Round], limits: LoopLimits = USUAL) -> list[str]:
    """What is decided after each round: `.` nothing, `h` hint, `s` stop."""
    found, said = Repetition(), []
    for each in rounds:
        found.take(each)
        loop = decide(limits, found)
        said.append("." if loop is None else "s" if loop.stops else "h")
    return said


def test_the_third_equal_round_is_hinted_at_and_the_eighth_stopped() -> None:
    assert "".join(verdicts([use("search", "none")] * 9)) == "..hhhhhss"


@pytest.mark.parametrize("period", PERIODS)
def test_a_cycle_of_any_period_is_stopped_when_it_has_run_eight_times(period: int) -> None:
    cycle = [use(f"tool{place}", "same") for place in range(period)]
    limits = LoopLimits(no_progress=None)
    said = verdicts(cycle * 8, limits)
    assert said.index("h") == 3 * period - 1
    assert said.index("s") == 8 * period - 1
    loop = decide(limits, fed(cycle * 8))
    assert loop is not None
    assert (loop.kind, loop.period, loop.times) == (LoopKind.SAME_CALLS, period, 8)
    assert sorted(loop.tools) == sorted(f"tool{place}" for place in range(period))


def test_polling_a_job_whose_answers_change_is_no_loop() -> None:
    polls = [use("get_job", f"{percent} % done") for percent in range(100)]
    assert set(verdicts(polls)) == {"."}


def test_the_same_question_about_other_things_is_no_loop() -> None:
    reads = [use("read_file", "not found", f'{{"path":"{n}"}}') for n in range(100)]
    assert set(verdicts(reads)) == {"."}


def test_editing_and_testing_in_turn_is_no_loop_while_the_edits_differ() -> None:
    rounds = []
    for attempt in range(30):
        rounds += [use("edit", "ok", f'{{"to":"{attempt}"}}'), use("run_tests", "1 failed")]
    assert set(verdicts(rounds)) == {"."}


def test_what_somebody_says_begins_another_matter() -> None:
    asked = [use("get_mail", "none"), SAID] * 50
    assert set(verdicts(asked)) == {"."}


def test_turning_about_in_no_order_is_no_progress() -> None:
    places = [0, 1, 2, 3, 4, 5, 0, 2, 4, 1, 3, 5, 0, 3, 1, 4, 2, 5, 5, 3, 0, 4, 2, 1, 5, 1, 3, 0]
    rounds = [use("read_file", f"text {place}", f'{{"path":"{place}"}}') for place in places]
    said = verdicts([*rounds, *rounds[::-1]])
    assert said.index("h") == 6 + 12 - 1
    assert said.index("s") == 6 + 24 - 1
    loop = decide(USUAL, fed([*rounds, *rounds[::-1]][: 6 + 24]))
    assert loop is not None
    assert (loop.kind, loop.period, loop.times) == (LoopKind.NO_PROGRESS, 0, 24)


def test_something_new_is_progress() -> None:
    old = [use("read_file", str(place), str(place)) for place in (0, 1, 2, 3, 4)]
    rounds = [*old, *old[::-1], use("read_file", "new", "9"), *old, *old[::-1]]
    assert set(verdicts(rounds)) == {"."}


def test_a_patient_tool_makes_its_whole_cycle_patient() -> None:
    limits = LoopLimits(tools=(("get_*", NEVER), ("sleep", Threshold(hint=2, stop=3))))
    waiting = [use("get_job", "running"), use("sleep", "slept")] * 40
    assert set(verdicts(waiting, limits)) == {"."}
    assert "".join(verdicts([use("sleep", "slept")] * 3, limits)) == ".hs"


def test_the_first_pattern_that_fits_a_tool_counts() -> None:
    strict, lax = Threshold(hint=2, stop=2), Threshold(hint=9, stop=9)
    limits = LoopLimits(tools=(("crm__get_job", lax), ("crm__*", strict)))
    assert threshold_of(limits, ("crm__get_job",)) == lax
    assert threshold_of(limits, ("crm__find",)) == strict
    assert threshold_of(limits, ("other",)) == limits.usual
    assert threshold_of(limits, ("crm__find", "crm__get_job")) == lax


def test_nothing_is_found_where_everything_is_unlimited() -> None:
    limits = LoopLimits(usual=NEVER, no_progress=None)
    assert set(verdicts([use("search", "none")] * 200, limits)) == {"."}


def test_a_hint_can_be_left_out() -> None:
    limits = LoopLimits(usual=Threshold(hint=None, stop=4), no_progress=None)
    assert "".join(verdicts([use("search")] * 4, limits)) == "...s"


def test_memory_is_bounded() -> None:
    found = fed(use("read", str(number)) for number in range(SEEN_KEPT * 3))
    assert len(found._seen) == SEEN_KEPT  # noqa: SLF001 (what is promised of it)


ROUNDS = st.lists(
    st.sampled_from([SAID, *[use(name, result) for name in "ab" for result in "xy"]]), max_size=80
)


def plain(rounds: Sequence[Round]) -> int:
    """The most times that any cycle of 1 to 4 rounds has run at the end, counted naively."""
    after = rounds[max((at + 1 for at, each in enumerate(rounds) if not each), default=0) :]
    most = 1
    for period in PERIODS:
        times = 1
        cycle = after[len(after) - period :]
        while after[len(after) - (times + 1) * period : len(after) - times * period] == cycle:
            if (times + 1) * period > len(after):
                break
            times += 1
        most = max(most, times)
    return most


@given(ROUNDS)
def test_the_count_kept_along_the_way_is_the_one_that_a_whole_reading_gives(
    rounds: list[Round],
) -> None:
    assert fed(rounds).cycle()[1] == plain(rounds)


@given(ROUNDS, st.integers(1, 6), st.integers(0, 6))
def test_a_stop_never_comes_before_its_hint(rounds: list[Round], hint: int, more: int) -> None:
    limits = LoopLimits(usual=Threshold(hint=hint, stop=hint + more + 1), no_progress=None)
    found, before = Repetition(), None
    for each in rounds:
        found.take(each)
        loop: Loop | None = decide(limits, found)
        if loop is not None and loop.stops:
            assert before is not None
            break
        before = loop

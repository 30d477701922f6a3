"""Whatever is done to a log, each thing done is named; and a log left alone is never accused."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.analysis.merkle import leaf_hash
from ringfence.analysis.span import Span
from ringfence.analysis.verification import Comparison, Fault, Finding, Pairing, located

SIZE = 30
LEAVES = [b"leaf %d" % place for place in range(1, SIZE + 1)]
HASHES = b"".join(map(leaf_hash, LEAVES))


def expected(place: int, count: int) -> bytes:
    return HASHES[(place - 1) * 32 : (place - 1 + count) * 32]


def describe(leaf: bytes) -> tuple[str, int]:
    word, _, number = leaf.partition(b" ")
    return leaf.decode(), int(number) if word == b"leaf" and number.isdigit() else 0


def compared(
    groups: list[tuple[int, list[bytes]]], wanted: list[Span] | None = None
) -> tuple[list[Finding], list[Span]]:
    comparison = Comparison("log_1", SIZE, expected)
    for first, leaves in groups:
        comparison.add(first, leaves)
    found = comparison.findings(
        [Span(1, SIZE)] if wanted is None else wanted,
        lambda some: located([HASHES[:320], HASHES[320:]], some),
        describe,
    )
    return list(found), comparison.uncovered


def told(groups: list[tuple[int, list[bytes]]]) -> list[tuple[Fault, int, int]]:
    return sorted((one.fault, one.first, one.last) for one in compared(groups)[0])


def in_tens(leaves: list[bytes]) -> list[tuple[int, list[bytes]]]:
    return [(at + 1, leaves[at : at + 10]) for at in range(0, len(leaves), 10)]


@given(st.lists(st.integers(1, SIZE - 1), max_size=8))
def test_a_log_that_was_left_alone_holds_however_it_is_grouped(cuts: list[int]) -> None:
    bounds = [0, *sorted(set(cuts)), SIZE]
    groups = [(low + 1, LEAVES[low:high]) for low, high in pairwise(bounds)]
    assert compared(groups) == ([], [])


@given(st.integers(0, SIZE - 1))
def test_an_altered_leaf_is_named(at: int) -> None:
    leaves = [*LEAVES[:at], b"x", *LEAVES[at + 1 :]]
    assert told(in_tens(leaves)) == [(Fault.ALTERED, at + 1, at + 1)]


@given(st.integers(0, SIZE - 2))
def test_a_dropped_leaf_is_named_and_those_that_slid_are_not(at: int) -> None:
    groups = in_tens(LEAVES)
    del groups[at // 10][1][at % 10]
    assert told(groups) == [(Fault.MISSING, at + 1, at + 1)]


@given(st.integers(0, SIZE - 1), st.integers(0, SIZE - 1))
def test_a_swapped_pair_is_named(one: int, other: int) -> None:
    leaves = list(LEAVES)
    leaves[one], leaves[other] = leaves[other], leaves[one]
    places = sorted({one + 1, other + 1}) if one != other else []
    assert told(in_tens(leaves)) == [(Fault.REORDERED, place, place) for place in places]


@given(st.integers(0, SIZE - 1), st.integers(0, SIZE - 1))
def test_a_repeated_leaf_is_named_where_nothing_is_lost(at: int, again: int) -> None:
    groups = [*in_tens(LEAVES), (SIZE + 5, [LEAVES[at]])]
    found, uncovered = compared(groups)
    assert (found, uncovered) == ([], [Span(SIZE + 5, SIZE + 5)])
    groups = in_tens(LEAVES)
    groups[again // 10][1].insert(again % 10, LEAVES[at])
    last = groups[-1][0] + len(groups[-1][1]) - 1
    faults = {(one.fault, one.first) for one in compared(groups)[0]}
    assert last == SIZE + (again // 10 == 2)
    assert (Fault.DUPLICATED, at + 1) in faults or (at, again // 10) == (again, 2) or last > SIZE


@given(st.integers(1, SIZE - 1))
def test_a_cut_tail_is_named(kept: int) -> None:
    assert told(in_tens(LEAVES[:kept])) == [(Fault.TRUNCATED, kept + 1, SIZE)]


def test_a_log_of_which_nothing_is_left_was_cut() -> None:
    assert told([]) == [(Fault.TRUNCATED, 1, SIZE)]


def test_a_missing_group_is_named() -> None:
    groups = in_tens(LEAVES)
    del groups[1]
    assert told(groups) == [(Fault.MISSING, 11, 20)]


def test_what_need_not_be_there_is_not_missed() -> None:
    groups = in_tens(LEAVES)
    del groups[0]
    assert compared(groups, [Span(11, SIZE)]) == ([], [])


def test_a_leaf_that_was_put_in_is_named() -> None:
    groups = in_tens(LEAVES)
    groups[1][1].insert(3, b"x")
    ((finding,), _) = compared(groups)
    assert (finding.fault, finding.first, finding.id) == (Fault.ADDED, 14, "x")


def test_a_leaf_that_comes_late_is_named() -> None:
    groups = [(one, [LEAVES[one - 1]]) for one in (*range(1, 6), 7, 6, *range(8, SIZE + 1))]
    assert told(groups) == [(Fault.REORDERED, 6, 6)]


def test_a_leaf_that_is_given_twice_is_named() -> None:
    groups = [(one, [LEAVES[one - 1]]) for one in (*range(1, 6), 5, *range(6, SIZE + 1))]
    assert told(groups) == [(Fault.DUPLICATED, 5, 5)]


def test_what_cannot_be_read_is_not_missed_as_well() -> None:
    comparison = Comparison("log_1", SIZE, expected)
    comparison.add(1, LEAVES[:10])
    comparison.skip(11, 10)
    comparison.add(21, LEAVES[20:])
    assert list(comparison.findings([Span(1, SIZE)], lambda _: {}, describe)) == []


def test_leaves_beyond_what_was_signed_are_told_apart() -> None:
    found, uncovered = compared([*in_tens(LEAVES), (31, [b"a", b"b"]), (40, [b"c"])])
    assert found == []
    assert uncovered == [Span(31, 32), Span(40, 40)]


@given(
    st.lists(st.tuples(st.sampled_from("adsi"), st.integers(0, SIZE - 3)), min_size=1, max_size=4)
)
def test_no_change_at_all_goes_unnoticed(changes: list[tuple[str, int]]) -> None:
    leaves = list(LEAVES)
    for number, (kind, at) in enumerate(changes):
        at_ = min(at, len(leaves) - 2)
        if kind == "a":
            leaves[at_] = b"altered %d" % number
        elif kind == "d":
            del leaves[at_]
        elif kind == "s":
            leaves[at_], leaves[at_ + 1] = leaves[at_ + 1], leaves[at_]
        else:
            leaves.insert(at_, b"put in %d" % number)
    found, uncovered = compared([(1, leaves)])
    assert bool(found or uncovered) is (leaves != LEAVES)
    assert bool(found) or leaves[:SIZE] == LEAVES


@pytest.mark.parametrize("is_outcome_first", [False, True])
def test_intent_and_outcome_find_each_other_over_logs(is_outcome_first: bool) -> None:  # noqa: FBT001 (a parameter of the test)
    pairing = Pairing()
    steps: list[Callable[[], None]] = [
        lambda: pairing.intend(("org", "act"), "log_1", 1),
        lambda: pairing.conclude(("org", "act"), "log_2", 9),
    ]
    for step in reversed(steps) if is_outcome_first else steps:
        step()
    assert not pairing.open
    assert not pairing.extra
    pairing.conclude(("org", "act"), "log_2", 10)
    assert pairing.extra == {("org", "act"): ("log_2", 10)}

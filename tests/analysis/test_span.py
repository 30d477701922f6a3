from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ringfence.analysis.span import Span, common, holds, merged, without

SPANS = st.lists(
    st.builds(lambda first, more: Span(first, first + more), st.integers(1, 60), st.integers(0, 9)),
    max_size=9,
)


def numbers(spans: list[Span]) -> set[int]:
    return {number for span in spans for number in range(span.first, span.last + 1)}


@given(SPANS)
def test_merged_spans_hold_the_same_numbers_in_order(spans: list[Span]) -> None:
    joined = merged(spans)
    assert numbers(joined) == numbers(spans)
    assert all(one.last + 1 < other.first for one, other in pairwise(joined))
    assert all(holds(joined, number) is (number in numbers(spans)) for number in range(80))


@given(SPANS, SPANS)
def test_spans_are_taken_away_and_had_in_common(spans: list[Span], others: list[Span]) -> None:
    assert numbers(without(spans, others)) == numbers(spans) - numbers(others)
    assert numbers(common(spans, others)) == numbers(spans) & numbers(others)

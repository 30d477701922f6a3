"""Runs of sequence numbers, as few as there can be."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Span(NamedTuple):
    """Sequences from the first to the last, both included."""

    first: int
    last: int


def merged(spans: Iterable[Span]) -> list[Span]:
    """The same sequences in as few spans as there can be, in order."""
    joined: list[Span] = []
    for span in sorted(spans):
        if joined and span.first <= joined[-1].last + 1:
            joined[-1] = Span(joined[-1].first, max(joined[-1].last, span.last))
        else:
            joined.append(span)
    return joined


def without(spans: Iterable[Span], others: Iterable[Span]) -> list[Span]:
    """What is in the first and not in the second."""
    left: list[Span] = []
    removed = merged(others)
    for span in merged(spans):
        first = span.first
        for other in removed[max(0, bisect_right(removed, (first,)) - 1) :]:
            if other.first > span.last:
                break
            if other.last < first:
                continue
            if other.first > first:
                left.append(Span(first, other.first - 1))
            first = other.last + 1
        if first <= span.last:
            left.append(Span(first, span.last))
    return left


def common(spans: Iterable[Span], others: Sequence[Span]) -> list[Span]:
    """What is in both."""
    whole = merged(spans)
    return without(whole, without(whole, others))


def holds(spans: Sequence[Span], number: int) -> bool:
    """Whether merged spans hold a number."""
    at = bisect_right(spans, (number, float("inf")))
    return at > 0 and spans[at - 1].last >= number

import sqlite3

import pytest

from ringfence.stores.ledger import segment
from ringfence.stores.ledger.backend import Batch
from ringfence.stores.ledger.segment import Range, SegmentWriter


def batch(first: int, leaves: list[bytes], time_us: int) -> Batch:
    return Batch(first, len(leaves), b"\n".join(leaves), time_us, time_us)


def append_one(log: sqlite3.Connection, leaf: bytes, time_us: int) -> None:
    writer = SegmentWriter(log)
    writer.append(batch(writer.next_sequence, [leaf], time_us))


def fill(log: sqlite3.Connection, sizes: list[int], times_us: list[int]) -> SegmentWriter:
    writer = SegmentWriter(log)
    for size, time_us in zip(sizes, times_us, strict=True):
        first = writer.next_sequence
        writer.append(batch(first, [b"leaf %d" % (first + n) for n in range(size)], time_us))
    return writer


def test_leaves_are_numbered_from_one_without_gaps(log: sqlite3.Connection) -> None:
    fill(log, [1, 3, 100], [10, 20, 30])
    again = SegmentWriter(log)
    assert again.next_sequence == 105
    parts = list(segment.following(log, 0))
    assert [part.first for part in parts] == [1, 2, 5]
    leaves = [leaf for part in parts for leaf in part.leaves]
    assert leaves == [b"leaf %d" % n for n in range(1, 105)]


def test_the_segment_of_any_sequence_is_found(log: sqlite3.Connection) -> None:
    fill(log, [1, 3, 2], [10, 20, 30])
    found = {n: segment.containing(log, n) for n in range(8)}
    firsts = {n: part.first if part else None for n, part in found.items()}
    assert firsts == {0: None, 1: 1, 2: 2, 3: 2, 4: 2, 5: 5, 6: 5, 7: None}


def test_the_time_of_a_log_never_falls_though_its_clock_does(log: sqlite3.Connection) -> None:
    fill(log, [1, 1, 1], [10, 50, 20])
    append_one(log, b"later", 30)
    times = [(part.low_us, part.high_us) for part in segment.following(log, 0)]
    assert times == [(10, 10), (50, 50), (20, 50), (30, 50)]


@pytest.mark.parametrize(
    ("time_us", "first"), [(0, 1), (10, 1), (11, 2), (20, 2), (21, 5), (30, 5), (31, 7)]
)
def test_seeking_finds_the_first_segment_that_reaches_a_time(
    log: sqlite3.Connection, time_us: int, first: int
) -> None:
    fill(log, [1, 3, 2], [10, 20, 30])
    assert segment.seek(log, time_us) == first


def test_seeking_in_an_empty_log_finds_its_beginning(log: sqlite3.Connection) -> None:
    assert segment.seek(log, 5) == 1


@pytest.mark.parametrize("is_newest_first", [True, False])
def test_pages_give_every_segment_of_a_range_once(
    log: sqlite3.Connection, *, is_newest_first: bool
) -> None:
    fill(log, [1] * 200, list(range(200)))
    within = Range(lower=11, upper=191)
    firsts: list[int] = []
    while page := segment.page(log, within, is_newest_first=is_newest_first):
        firsts += [part.first for part in page]
        within = within.beyond(page[-1], is_newest_first=is_newest_first)
    wanted = list(range(11, 191))
    assert firsts == (wanted[::-1] if is_newest_first else wanted)


def test_a_failed_append_does_not_use_up_numbers(log: sqlite3.Connection) -> None:
    writer = fill(log, [2], [10])
    log.execute("PRAGMA query_only = ON")
    with pytest.raises(sqlite3.OperationalError):
        writer.append(batch(3, [b"lost"], 11))
    log.execute("PRAGMA query_only = OFF")
    assert writer.next_sequence == 3
    writer.append(batch(3, [b"kept"], 12))
    assert [part.first for part in segment.following(log, 0)] == [1, 3]

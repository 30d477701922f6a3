from collections.abc import Iterator

import pytest
from tests.stores.ledger.event import START_US, refusal
from tests.stores.postgresql.test_ledger import batch

from ringfence.stores.ledger.segment import END, Range
from ringfence.stores.postgresql.address import Address
from ringfence.stores.postgresql.ledger_logs import PostgresLogs
from ringfence.stores.postgresql.ledger_rows import PostgresRows


@pytest.fixture
def rows(postgresql_url: str) -> Iterator[PostgresRows]:
    """Two logs; the one that is read has a segment of one event every 10 µs."""
    logs = PostgresLogs(Address.parse(postgresql_url))
    for name in ("log_1", "log_2"):
        log = logs.take(name).open()
        for number in range(1, 151):
            one = batch(number, refusal(f"act_{number}"))
            one.low_us = one.high_us = START_US + 10 * number
            log.commit(one)
        log.close()
    yield logs.read("log_1")
    logs.close()


def test_time_is_sought_in_one_log_alone(rows: PostgresRows) -> None:
    assert rows.seek(0) == 1
    assert rows.seek(START_US + 500) == 50
    assert rows.seek(START_US + 501) == 51
    assert rows.seek(START_US + 9999) == rows.next_sequence() == 151


def test_pages_go_both_ways_and_end(rows: PostgresRows) -> None:
    assert [part.first for part in rows.following(0)] == list(range(1, 151))
    within, seen = Range(5, 145, END), []
    while page := rows.page(within, is_newest_first=True):
        seen += [part.first for part in page]
        within = within.beyond(page[-1], is_newest_first=True)
    assert seen == list(range(144, 4, -1))
    early = rows.page(Range(1, END, START_US + 30), is_newest_first=False)
    assert [part.first for part in early] == [1, 2]


def test_a_sequence_is_found_or_not_there(rows: PostgresRows) -> None:
    part = rows.containing(7)
    assert part is not None
    assert (part.first, len(part.leaves)) == (7, 1)
    assert rows.containing(151) is None
    assert rows.containing(0) is None

import sqlite3
from functools import partial
from pathlib import Path

import pytest
from tests.stores.ledger.event import change
from tests.stores.ledger.writing import write

from ringfence.domain.error import UnavailableError
from ringfence.stores.ledger.leaves import leaf_reader
from ringfence.stores.ledger.sqlite_logs import SqliteLogs


def numbers(folder: Path, sequence: int) -> list[tuple[int, int]]:
    return [
        (one.first, len(one.leaves))
        for one in leaf_reader(partial(SqliteLogs, folder), "log_1")(sequence)
    ]


def test_leaves_are_read_from_the_group_that_holds_a_sequence(
    log: sqlite3.Connection, tmp_path: Path
) -> None:
    assert numbers(tmp_path, 1) == []
    write(log, [[change("agent.suspended", "agt_1") for _ in range(size)] for size in (3, 1, 4)])
    assert numbers(tmp_path, 1) == [(1, 3), (4, 1), (5, 4)]
    assert numbers(tmp_path, 3) == [(1, 3), (4, 1), (5, 4)]
    assert numbers(tmp_path, 4) == [(4, 1), (5, 4)]
    assert numbers(tmp_path, 8) == [(5, 4)]
    assert numbers(tmp_path, 9) == []


def test_behind_a_gap_the_next_group_comes(log: sqlite3.Connection, tmp_path: Path) -> None:
    write(log, [[change("agent.suspended", "agt_1") for _ in range(size)] for size in (3, 1, 4)])
    log.execute("DELETE FROM segments WHERE first = 4")
    assert numbers(tmp_path, 4) == [(5, 4)]


def test_a_log_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError):
        numbers(tmp_path, 1)

import resource
import signal
import sqlite3
from pathlib import Path

import pytest
from tests.stores.ledger.event import intent, outcome

from ringfence.domain.error import UnavailableError
from ringfence.domain.event import AnyEvent
from ringfence.stores.ledger.backend import Batch
from ringfence.stores.ledger.draft import Drafter
from ringfence.stores.ledger.fence import Fence, log_path
from ringfence.stores.ledger.projection import Projection
from ringfence.stores.ledger.sqlite import SqliteLog


def batch(log: SqliteLog, *events: AnyEvent) -> Batch:
    drafter = Drafter(log.log_id, log.pending, None)
    return drafter.draft([(event, None) for event in events], log.next_sequence).batch


def test_a_log_goes_on_where_it_ended(tmp_path: Path) -> None:
    log = SqliteLog.open(Fence.take(tmp_path, "log_1"))
    assert (log.next_sequence, log.pending) == (1, [])
    one = intent("act_1")
    log.commit(batch(log, one, intent("act_2")))
    log.close()
    again = SqliteLog.open(Fence.take(tmp_path, "log_1"))
    assert (again.next_sequence, again.pending) == (3, [("org_a", "act_1"), ("org_a", "act_2")])
    again.commit(batch(again, outcome(one)))
    again.close()
    last = SqliteLog.open(Fence.take(tmp_path, "log_1"))
    assert last.pending == [("org_a", "act_2")]
    last.close()


def test_closing_lets_others_write(tmp_path: Path) -> None:
    log = SqliteLog.open(Fence.take(tmp_path, "log_1"))
    log.close()
    Fence.take(tmp_path, "log_1").release()


def test_a_log_that_fails_says_so_and_has_changed_nothing(tmp_path: Path) -> None:
    log = SqliteLog.open(Fence.take(tmp_path, "log_1"))
    thief = sqlite3.connect(log_path(tmp_path, "log_1"), isolation_level=None)
    thief.execute("BEGIN IMMEDIATE")
    projection = Projection()
    projection.apply(intent("act_1"), 1, 1)
    with pytest.raises(UnavailableError):
        log.commit(batch(log, intent("act_1")))
    with pytest.raises(UnavailableError):
        log.derive(projection)
    with pytest.raises(UnavailableError):
        log.probe()
    thief.execute("ROLLBACK")
    thief.close()
    log.probe()
    log.commit(batch(log, intent("act_1")))
    log.derive(projection)
    log.close()


def test_a_log_whose_file_was_taken_away_is_not_written_until_it_is_back(tmp_path: Path) -> None:
    log = SqliteLog.open(Fence.take(tmp_path, "log_1"))
    log.commit(batch(log, intent("act_1")))
    path = log_path(tmp_path, "log_1")
    away = path.with_suffix(".away")
    path.rename(away)
    for _ in range(2):
        with pytest.raises(UnavailableError, match="cannot be reached"):
            log.commit(batch(log, intent("act_2")))
        with pytest.raises(UnavailableError):
            log.probe()
        path.write_bytes(b"another file")
    path.unlink()
    away.rename(path)
    log.probe()
    log.commit(batch(log, intent("act_2")))
    log.close()


def test_a_probe_writes_so_that_it_finds_a_disk_that_is_still_full(tmp_path: Path) -> None:
    log = SqliteLog.open(Fence.take(tmp_path, "log_1"))
    log.commit(batch(log, intent("act_1")))
    (ahead,) = (tmp_path / "ledger").glob("*-wal")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ahead.stat().st_size, limits[1]))
    try:
        with pytest.raises(UnavailableError):
            log.probe()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    log.probe()
    log.close()

import sqlite3
from pathlib import Path

from tests.stores.ledger.event import START_US, change, intent, outcome, refusal
from tests.stores.ledger.writing import write

from ringfence.stores.ledger.fence import log_path
from ringfence.stores.ledger.query import Filter, InvocationFilter, Matcher
from ringfence.stores.ledger.sqlite_rows import SqliteRows
from ringfence.stores.ledger.view import LogView


def view_of(folder: Path) -> LogView:
    return LogView(SqliteRows.open("log_1", log_path(folder, "log_1")))


def actions(view: LogView, asked: Filter) -> list[str]:
    return [getattr(one.event, "action", "") for one in view.events(asked, Matcher(asked))]


def test_an_invocation_is_found_without_reading_the_whole_log(
    log: sqlite3.Connection, tmp_path: Path
) -> None:
    for n in range(40):
        write(log, [[intent(f"act_{n}", invocation=f"inv_{n % 8}")]])
    log.execute("UPDATE segments SET leaves = x'00' WHERE (first - 1) % 8 <> 3 AND first < 40")
    view = view_of(tmp_path)
    asked = Filter(organisation="org_a", invocation="inv_3")
    assert actions(view, asked) == ["act_35", "act_27", "act_19", "act_11", "act_3"]
    assert len(list(view.trace("org_a", "inv_3"))) == 5
    view.close()


def test_time_is_sought_and_not_scanned(log: sqlite3.Connection, tmp_path: Path) -> None:
    write_at(log, range(300))
    log.execute("UPDATE segments SET leaves = x'00' WHERE first < 200 OR first > 290")
    view = view_of(tmp_path)
    asked = Filter(organisation="org_a", since_us=START_US + 205, until_us=START_US + 285, limit=80)
    assert len(actions(view, asked)) == 80
    view.close()


def write_at(log: sqlite3.Connection, times: range) -> None:
    for n in times:
        write(log, [[refusal(f"act_{n}", time_us=START_US + n)]])
    log.execute("UPDATE segments SET low_us = ? + first - 1, high_us = low_us", (START_US,))
    log.execute("UPDATE segments SET high_us = low_us")


def test_what_is_not_derived_yet_is_read_all_the_same(
    log: sqlite3.Connection, tmp_path: Path
) -> None:
    one = intent("act_1")
    write(log, [[one]])
    kept = log.execute("SELECT * FROM traces").fetchall()
    write(log, [[outcome(one, cost=7)], [change("invocation.finished", "inv_1")]])
    for table in ("invocations", "traces", "accounts", "pending"):
        log.execute(f"DELETE FROM {table}")  # noqa: S608 (constants)
    log.execute("UPDATE log SET projected = 0")
    assert kept
    view = view_of(tmp_path)
    (record,) = view.invocations(InvocationFilter(organisation="org_a"))
    assert (record.steps, record.cost, record.state) == (1, 7, "finished")
    assert len(list(view.trace("org_a", "inv_1"))) == 3
    assert len(actions(view, Filter(organisation="org_a", invocation="inv_1"))) == 3
    view.close()


def test_a_view_holds_back_nobody(log: sqlite3.Connection, tmp_path: Path) -> None:
    """A page is read whole, so that no transaction stays open between two events."""
    write_at(log, range(10))
    view = view_of(tmp_path)
    events = view.events(Filter(organisation="org_a"), Matcher(Filter(organisation="org_a")))
    next(events)
    busy, *_ = log.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert busy == 0
    view.close()

import sqlite3
from pathlib import Path

from tests.stores.ledger.test_derived import a_history
from tests.stores.ledger.writing import TABLES, derived, write

from ringfence.stores.ledger.derived import commit
from ringfence.stores.ledger.fence import log_path
from ringfence.stores.ledger.rows import catch_up
from ringfence.stores.ledger.sqlite_rows import SqliteRows


def test_what_is_not_derived_yet_is_caught_up_with(log: sqlite3.Connection, tmp_path: Path) -> None:
    write(log, a_history(7))
    kept, (projected,) = derived(log), log.execute("SELECT projected FROM log").fetchone()
    for table in TABLES:
        log.execute(f"DELETE FROM {table}")  # noqa: S608 (constants)
    log.execute("UPDATE log SET projected = 0")
    rows = SqliteRows("log_1", log_path(tmp_path, "log_1"), log)
    projection = catch_up(rows)
    assert projection.count == projected
    commit(log, projection)
    assert derived(log) == kept
    assert catch_up(rows).count == 0

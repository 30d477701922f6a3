import sqlite3
from pathlib import Path

import pytest
from tests.stores.ledger.event import change, intent, outcome
from tests.stores.ledger.writing import write

from ringfence.domain.error import UnavailableError
from ringfence.stores.ledger.fence import log_path
from ringfence.stores.ledger.projection import Projection
from ringfence.stores.ledger.rows import InvocationPage
from ringfence.stores.ledger.sqlite_rows import SqliteRows, derived_alone


def test_what_recovery_asks_is_answered(log: sqlite3.Connection, tmp_path: Path) -> None:
    one, two = intent("act_1"), intent("act_2", invocation="inv_2")
    write(log, [[one, two, outcome(one, cost=5)], [change("invocation.stopped", "inv_1")]])
    rows = SqliteRows.open("log_1", log_path(tmp_path, "log_1"))
    assert list(rows.unended()) == [2]
    assert (rows.projected(), rows.next_sequence()) == (4, 5)
    assert [record.invocation.id for record in rows.open_invocations()] == ["inv_2"]
    assert [record.invocation.id for record in rows.closed_invocations(0, 9)] == ["inv_1"]
    asked = [("org_a", "inv_1"), ("org_a", "inv_2"), ("org_b", "inv_1")]
    assert rows.ended(asked) == {("org_a", "inv_1"): "stopped"}
    assert {key.holder: nano for key, _, nano in rows.spent(0, ())} == {"agt_1": 5}
    of_run = {key.holder: nano for key, _, nano in rows.spent(0, asked)}
    assert of_run == {"agt_1": 5, "inv_1": 5}
    assert rows.root_of("org_a", "inv_2") == "inv_2"
    assert rows.root_of("org_b", "inv_2") is None
    rows.close()


def test_a_file_that_breaks_is_unavailable(log: sqlite3.Connection, tmp_path: Path) -> None:
    rows = SqliteRows.open("log_1", log_path(tmp_path, "log_1"))
    log.execute("DROP TABLE pending")
    with pytest.raises(UnavailableError):
        rows.unended()
    rows.close()


def test_one_projection_alone_gives_its_invocations() -> None:
    projection = Projection()
    projection.apply(intent("act_1"), 1, 1)
    page = InvocationPage(organisation="org_a", root=None, before="z", floor="", most=5)
    assert [(r.invocation.id, r.steps) for r in derived_alone(projection, page)] == [("inv_1", 1)]

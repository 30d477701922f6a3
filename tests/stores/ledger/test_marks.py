import sqlite3
from pathlib import Path

from tests.stores.ledger.event import change, intent, outcome
from tests.stores.ledger.writing import write

from ringfence.domain.event import Change, Intent, Outcome
from ringfence.stores.ledger import LedgerReader
from ringfence.stores.ledger.marks import Marks, marks
from ringfence.stores.ledger.sqlite_logs import SqliteLogs


def labelled(action: str, *labels: str, approval: str = "") -> tuple[Intent, Outcome]:
    asked = intent(action)
    asked.approval = approval
    ended = outcome(asked)
    ended.labels = list(labels)
    return asked, ended


def doubt(action: str) -> Change:
    event = change("finding.postcondition", "inv_1")
    event.invocation = event.root = "inv_1"
    event.detail = {"tool": "crm__refund", "action": action, "told": "it is not paid"}
    return event


def read(folder: Path, root: str = "inv_1") -> Marks:
    reader = LedgerReader(SqliteLogs(folder))
    try:
        return marks(reader, "org_a", root)
    finally:
        reader.close()


def test_labels_and_doubts_are_read_back(log: sqlite3.Connection, tmp_path: Path) -> None:
    write(log, [[*labelled("act_1", "untrusted"), *labelled("act_2", "personal"), doubt("act_2")]])
    assert read(tmp_path) == Marks(
        ("personal", "untrusted"), (("act_2", "after `crm__refund`: it is not paid"),)
    )
    assert read(tmp_path, "inv_2") == Marks((), ())


def test_what_a_person_approved_after_a_doubt_has_ended_it(
    log: sqlite3.Connection, tmp_path: Path
) -> None:
    write(log, [[*labelled("act_1"), doubt("act_1"), *labelled("act_2", approval="apr_1")]])
    assert read(tmp_path).doubts == ()

"""Sums that budgets start from are what the events say, or are named."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.stores.verification.recording import LOG, copied, record

from ringfence.analysis.verification import Fault
from ringfence.stores.ledger.fence import log_path
from ringfence.stores.ledger.sqlite_logs import SqliteLogs
from ringfence.stores.verification import Outside, verify_folder
from ringfence.stores.verification.account import examine_accounts


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("summed") / "data"
    record(folder, 300, most=20)
    return folder


def changed(folder: Path, statement: str) -> int:
    with closing(sqlite3.connect(log_path(folder, LOG))) as connection, connection:
        return connection.execute(statement).rowcount


def wrong(folder: Path, *, is_partial: bool = False) -> list[str]:
    with closing(SqliteLogs(folder)) as logs, closing(logs.read(LOG)) as rows:
        return [each.id for each in examine_accounts(rows, is_partial=is_partial)]


def test_sums_that_were_left_alone_fit(whole: Path) -> None:
    assert wrong(whole) == []
    assert verify_folder(whole, Outside(), is_running=False).holds


LESS = "UPDATE accounts SET spent_nano = spent_nano - 2 WHERE per = 'day'"
MORE = "UPDATE accounts SET spent_nano = spent_nano + 1 WHERE per = 'day'"


@pytest.mark.parametrize(
    "statement",
    [
        LESS,
        MORE,
        "DELETE FROM accounts WHERE per = 'day'",
        "INSERT INTO accounts VALUES ('org_a', 'user', 'user_9', 'day', 7, 5)",
    ],
)
def test_a_sum_that_was_changed_is_named(statement: str, whole: Path, tmp_path: Path) -> None:
    folder = copied(whole, tmp_path / "copy")
    assert changed(folder, statement)
    assert wrong(folder) != []
    report = verify_folder(folder, Outside(), is_running=False)
    assert {each.fault for each in report.findings} == {Fault.ACCOUNT_ALTERED}
    assert {each.log for each in report.findings} == {LOG}


def test_where_events_were_deleted_on_purpose_only_too_little_is_wrong(
    whole: Path, tmp_path: Path
) -> None:
    folder = copied(whole, tmp_path / "copy")
    changed(folder, MORE)
    assert wrong(folder, is_partial=True) == []
    changed(folder, LESS)
    assert wrong(folder, is_partial=True) != []

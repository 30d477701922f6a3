from pathlib import Path

import pytest

from ringfence.domain.error import UsageError
from ringfence.stores.ledger.backend import Batch
from ringfence.stores.ledger.fence import Fence, log_path
from ringfence.stores.ledger.log import open_log
from ringfence.stores.ledger.segment import SegmentWriter


def test_a_log_knows_its_name(tmp_path: Path) -> None:
    fence = Fence.take(tmp_path, "log_1")
    connection = open_log(fence)
    assert connection.execute("SELECT id, projected FROM log").fetchall() == [("log_1", 0)]
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
    fence.release()


def test_a_file_under_another_name_is_refused(tmp_path: Path) -> None:
    fence = Fence.take(tmp_path, "log_1")
    open_log(fence).close()
    fence.release()
    log_path(tmp_path, "log_1").rename(log_path(tmp_path, "log_2"))
    other = Fence.take(tmp_path, "log_2")
    with pytest.raises(UsageError, match="it holds log `log_1`"):
        open_log(other)
    other.release()


@pytest.mark.parametrize(
    ("statement", "what"),
    [("DELETE FROM segments", "missing"), ("UPDATE segments SET leaves = x'00'", "unreadable")],
)
def test_a_log_whose_last_events_are_not_there_is_refused(
    tmp_path: Path, statement: str, what: str
) -> None:
    fence = Fence.take(tmp_path, "log_1")
    connection = open_log(fence)
    SegmentWriter(connection).append(Batch(1, 1, b"{}", 1, 1))
    connection.execute("UPDATE log SET projected = 1")
    connection.execute(statement)
    connection.close()
    with pytest.raises(UsageError, match=f"event 1 is {what}"):
        open_log(fence)
    fence.release()

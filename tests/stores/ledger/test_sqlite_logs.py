from pathlib import Path

import pytest
from tests.stores.ledger.event import START_US, intent

from ringfence.domain.error import UsageError
from ringfence.protocols import canonical
from ringfence.stores.ledger.backend import Batch
from ringfence.stores.ledger.fence import log_path
from ringfence.stores.ledger.sqlite_logs import SqliteLogs


def test_writing_for_a_moment_keeps_the_right_to_write(tmp_path: Path) -> None:
    logs = SqliteLogs(tmp_path)
    held = logs.take("log_1")
    one = intent("act_1")
    with held.writing() as log:
        log.commit(Batch(1, 1, canonical.encode(one), START_US, START_US))
        assert log.next_sequence == 2
    with pytest.raises(UsageError) as caught:
        logs.take("log_1")
    assert caught.value.code == "log_in_use"
    opened = held.open()
    assert (opened.next_sequence, list(opened.pending)) == (2, [("org_a", "act_1")])
    opened.close()
    logs.take("log_1").release()


def test_a_log_that_was_made_must_be_there(tmp_path: Path) -> None:
    logs = SqliteLogs(tmp_path)
    held = logs.take("log_1")
    with held.writing():
        pass
    held.release()
    logs.require()
    log_path(tmp_path, "log_1").unlink()
    with pytest.raises(UsageError) as caught:
        logs.require()
    assert caught.value.code == "store_damaged"

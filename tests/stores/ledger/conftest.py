import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringfence.stores.ledger.fence import Fence
from ringfence.stores.ledger.log import open_log


@pytest.fixture
def log(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    fence = Fence.take(tmp_path, "log_1")
    connection = open_log(fence)
    yield connection
    connection.close()
    fence.release()

"""Open the file of one log, and refuse one that is not whole."""

import sqlite3
from typing import Final

from ringfence.stores.compression import ZstdError
from ringfence.stores.database import damaged, open_writable, transaction, translated
from ringfence.stores.ledger import segment
from ringfence.stores.ledger.fence import Fence
from ringfence.stores.ledger.schema import LEDGER

_CHECKPOINT_PAGES: Final = 2_000
"""8 MB of write-ahead log; fewer, larger checkpoints cost less and are felt by fewer calls."""

_CHECKED_BYTES: Final = 16 * 1024 * 1024
"""Up to this size a file is checked whole at opening, some 20 ms; `audit verify` checks any."""


def open_log(fence: Fence) -> sqlite3.Connection:
    """Open a fenced log for writing, making it if there is none.

    Raises UsageError `store_damaged` if what was written last cannot be read, and as
    `stores.database.open_writable`.
    """
    connection = open_writable(fence.path, LEDGER)
    try:
        with translated(fence.path, LEDGER.noun):
            connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
            _name(connection, fence)
            _check(connection, fence)
    except BaseException:
        connection.close()
        raise
    fence.mark_created()
    return connection


def _name(connection: sqlite3.Connection, fence: Fence) -> None:
    """Write the log's id into a new file; a file that was renamed is another log."""
    with transaction(connection):
        row = connection.execute("SELECT id FROM log").fetchone()
        if row is None:
            connection.execute("INSERT INTO log VALUES (?, 0)", (fence.log_id,))
        elif row[0] != fence.log_id:
            raise damaged(fence.path, LEDGER.noun, f"it holds log `{row[0]}`")


def _check(connection: sqlite3.Connection, fence: Fence) -> None:
    if fence.path.stat().st_size <= _CHECKED_BYTES:
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise damaged(fence.path, LEDGER.noun, verdict)
    (projected,) = connection.execute("SELECT projected FROM log").fetchone()
    try:
        last = segment.containing(connection, projected)
    except ZstdError as error:
        raise damaged(fence.path, LEDGER.noun, f"event {projected} is unreadable") from error
    if projected and last is None:
        raise damaged(fence.path, LEDGER.noun, f"event {projected} is missing")

"""Erase bodies for good: rows, salts, pieces that nobody else needs, and the index of their words.

What a leaf committed to cannot be told any more without the salt, and the leaf itself stays as it
is. A piece that another body has too stays with that one.
"""

import contextlib
import sqlite3
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from ringfence.stores.body.schema import BODIES, shelf_path
from ringfence.stores.database import open_writable, transaction, translated

_AT_ONCE: Final = 200
"""Actions in one transaction, so that the bodies' writer never waits long."""

_USERS: Final = (
    "CREATE INDEX IF NOT EXISTS bodies_envelope ON bodies (envelope)",
    "CREATE INDEX IF NOT EXISTS bodies_node ON bodies (node)",
    "CREATE INDEX IF NOT EXISTS nodes_chunk ON nodes (chunk)",
)
"""Who uses a piece or a chain. Made by the first erasure, so that only who erases pays for them:
without them every step reads all that is stored."""

# One user is enough: an envelope may be that of every call an agent ever made.
_USED: Final = "SELECT asked.id FROM asked WHERE EXISTS (SELECT 1 FROM"
_ENDS: Final = f"{_USED} bodies WHERE node = asked.id)"
_ENVELOPES: Final = f"{_USED} bodies WHERE envelope = asked.id)"
_LINKS: Final = f"{_USED} nodes WHERE chunk = asked.id)"

_COUNTED: Final = 2**31

_INDEX_FILES: Final = (".search", ".search-wal", ".search-shm")


class _Roots(NamedTuple):
    """What erased bodies pointed to."""

    envelopes: set[int]
    nodes: set[int]


def erase(folder: Path, organisation: str, actions: Sequence[str]) -> int:
    """Erase requests and responses of actions; gives how many bodies that were.

    May run beside the bodies' writer, which notices. Raises UsageError `store_damaged`,
    UnavailableError `store_unavailable`; what was not erased then can be erased again.
    """
    path = shelf_path(folder, organisation)
    if not path.exists() or not actions:
        return 0
    with translated(path, BODIES.noun):
        connection = open_writable(path, BODIES)
        try:
            connection.execute("PRAGMA busy_timeout = 10000")
            connection.execute("PRAGMA secure_delete = ON")
            for statement in _USERS:
                connection.execute(statement)
            erased = 0
            for at in range(0, len(actions), _AT_ONCE):
                erased += _erase_some(connection, actions[at : at + _AT_ONCE])
            # What was overwritten still stands in the write-ahead log until this gets through.
            with contextlib.suppress(sqlite3.OperationalError):
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            connection.close()
        if erased:
            _forget_words(path)
    return erased


def erasures_of(connection: sqlite3.Connection) -> int:
    """How often something was erased from this file; who remembers ids looks at it.

    It stands in a number of the file's header that SQLite leaves to us.
    """
    (count,) = connection.execute("PRAGMA application_id").fetchone()
    return int(count)


def _erase_some(connection: sqlite3.Connection, actions: Sequence[str]) -> int:
    marks = ",".join("?" * len(actions))
    with transaction(connection):
        rows = connection.execute(
            f"SELECT number, envelope, node FROM bodies WHERE action IN ({marks})",  # noqa: S608 (marks alone)
            tuple(actions),
        ).fetchall()
        connection.executemany("DELETE FROM bodies WHERE number = ?", ((row[0],) for row in rows))
        count = (erasures_of(connection) + 1) % _COUNTED
        connection.execute(f"PRAGMA application_id = {count}")
        roots = _Roots({row[1] for row in rows}, {row[2] for row in rows if row[2]})
        _sweep(connection, roots)
    return len(rows)


def _sweep(connection: sqlite3.Connection, roots: _Roots) -> None:
    """Delete the chains and pieces that only erased bodies had.

    INVARIANT: a chain's number is above that of the chain it goes on from, since it was made later;
    so falling numbers meet each chain after all that go on from it.
    """
    chunks = set(roots.envelopes)
    candidates = _with_parents(connection, roots.nodes)
    used = _used(connection, _ENDS, candidates)
    for node in sorted(candidates - used, reverse=True):
        if connection.execute("SELECT 1 FROM nodes WHERE parent = ? LIMIT 1", (node,)).fetchone():
            continue
        (chunk,) = connection.execute("SELECT chunk FROM nodes WHERE id = ?", (node,)).fetchone()
        connection.execute("DELETE FROM nodes WHERE id = ?", (node,))
        chunks.add(chunk)
    used = _used(connection, _ENVELOPES, chunks)
    used |= _used(connection, _LINKS, chunks)
    connection.executemany("DELETE FROM chunks WHERE id = ?", ((one,) for one in chunks - used))


def _with_parents(connection: sqlite3.Connection, nodes: Collection[int]) -> set[int]:
    found: set[int] = set()
    for start in nodes:
        node = start
        while node and node not in found:
            found.add(node)
            row = connection.execute("SELECT parent FROM nodes WHERE id = ?", (node,)).fetchone()
            node = row[0] if row else 0
    return found


def _used(connection: sqlite3.Connection, query: str, ids: Collection[int]) -> set[int]:
    """Which of these ids a query finds."""
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS asked (id INTEGER PRIMARY KEY)")
    connection.execute("DELETE FROM asked")
    connection.executemany("INSERT OR IGNORE INTO asked VALUES (?)", ((one,) for one in ids))
    return {row[0] for row in connection.execute(query)}


def _forget_words(path: Path) -> None:
    """The index is made anew by the next search, without the words that were erased."""
    for suffix in _INDEX_FILES:
        path.with_suffix(suffix).unlink(missing_ok=True)

"""Find bodies by their words. Nobody pays for it before somebody searches."""

import sqlite3
from pathlib import Path
from typing import Final, final

from ringfence.stores.body.schema import BODIES, shelf_path
from ringfence.stores.body.sqlite import unpack
from ringfence.stores.body.text import text_of
from ringfence.stores.database import (
    Blueprint,
    open_readable,
    open_writable,
    transaction,
    translated,
)

# The index keeps no text, only where words stand; `indexed` is the last chunk it has seen.
_FIRST: Final = (
    "CREATE VIRTUAL TABLE words USING fts5 (text, content = '')",
    "CREATE TABLE progress (indexed INTEGER NOT NULL)",
    "INSERT INTO progress VALUES (0)",
)

_SEARCH: Final = Blueprint(noun="search index", steps=(_FIRST,), synchronous="NORMAL", busy_s=30.0)

_CHUNKS_AT_ONCE: Final = 500


@final
class BodySearch:
    """Searches an organisation's bodies through an index beside them, brought up to date first."""

    def __init__(self, folder: Path) -> None:
        """Take the data folder."""
        self._folder = folder

    def actions(self, organisation: str, text: str, *, limit: int) -> list[str]:
        """The actions that first brought a message with all these words, newest first.

        A conversation is sent again at each step; only the step that added the message is named.
        Each word is one that is cut by spaces; upper and lower case are the same. Raises as
        `stores.database.open_writable`.
        """
        path = shelf_path(self._folder, organisation)
        if not path.exists():
            return []
        index_path = path.with_suffix(".search")
        bodies = open_readable(path, BODIES)
        try:
            index = open_writable(index_path, _SEARCH)
            try:
                with translated(index_path, _SEARCH.noun):
                    _catch_up(index, bodies)
                    return _find(index, bodies, text, limit)
            finally:
                index.close()
        finally:
            bodies.close()


def _catch_up(index: sqlite3.Connection, bodies: sqlite3.Connection) -> None:
    """Index the chunks that came since the last search."""
    more = True
    while more:
        with transaction(index):
            (indexed,) = index.execute("SELECT indexed FROM progress").fetchone()
            chunks = bodies.execute(
                "SELECT id, packed, data FROM chunks WHERE id > ? ORDER BY id LIMIT ?",
                (indexed, _CHUNKS_AT_ONCE),
            ).fetchall()
            index.executemany(
                "INSERT INTO words (rowid, text) VALUES (?, ?)",
                ((number, text_of(unpack(packed, data))) for number, packed, data in chunks),
            )
            more = bool(chunks)
            if more:
                index.execute("UPDATE progress SET indexed = ?", (chunks[-1][0],))


def _find(
    index: sqlite3.Connection, bodies: sqlite3.Connection, text: str, limit: int
) -> list[str]:
    words = " ".join('"' + word.replace('"', '""') + '"' for word in text.split())
    if not words:
        return []
    chunks = index.execute(
        "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid DESC", (words,)
    )
    found: dict[str, None] = {}
    for (chunk,) in chunks:
        row = bodies.execute(
            "SELECT action FROM bodies, chunks WHERE chunks.id = ? AND number = introduced",
            (chunk,),
        ).fetchone()
        if row is not None:
            found[row[0]] = None
        if len(found) >= limit:
            break
    return list(found)

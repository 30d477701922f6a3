"""Bodies in SQLite, one file for each organisation."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, final

from ringfence.stores.body.content import Part, Pieces
from ringfence.stores.body.erasure import erase, erasures_of
from ringfence.stores.body.place import BodyRow, ChunkRow, NodeRow, Standing
from ringfence.stores.body.schema import BODIES, shelf_path
from ringfence.stores.bulk import Bulk
from ringfence.stores.compression import decompress
from ringfence.stores.database import open_readable, open_writable, transaction, translated

_ADD_CHUNKS = Bulk("INSERT INTO chunks VALUES", 5)
_FIND_CHUNKS = Bulk("SELECT address, id FROM chunks WHERE address IN (VALUES", 1, ")")
_ADD_NODES = Bulk("INSERT INTO nodes VALUES", 3)
_ADD_BODIES = Bulk("INSERT OR IGNORE INTO bodies VALUES", 7)

_BODY: Final = """SELECT salt, head, node, packed, data
    FROM bodies JOIN chunks ON chunks.id = envelope WHERE action = ? AND part = ?"""

_MESSAGES: Final = """WITH RECURSIVE chain (parent, chunk, place) AS (
        SELECT parent, chunk, 0 FROM nodes WHERE id = ?
        UNION ALL
        SELECT nodes.parent, nodes.chunk, place + 1 FROM chain JOIN nodes ON nodes.id = chain.parent
    )
    SELECT packed, data FROM chain JOIN chunks ON chunks.id = chunk ORDER BY place DESC"""


@final
class SqliteShelf:
    """One organisation's file, opened for writing; implements `place.ShelfRows`."""

    def __init__(self, path: Path) -> None:
        """Open the file, making it if there is none. Raises as `open_writable`."""
        self._path = path
        self._connection = open_writable(path, BODIES)
        self._erasures = -1
        try:
            with translated(path, BODIES.noun):
                self.key = _key(self._connection)
        except BaseException:
            self._connection.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[Standing]:
        """What other writers add changes nothing that is remembered; an erasure tells of itself."""
        try:
            with translated(self._path, BODIES.noun), transaction(self._connection):
                yield self._begin()
        except BaseException:
            self._erasures = -1
            raise

    def find_chunks(self, addresses: Sequence[bytes]) -> dict[bytes, int]:
        """By the addresses, which are unique."""
        return dict(_FIND_CHUNKS.read(self._connection, addresses))

    def find_node(self, parent: int, chunk: int) -> int | None:
        """By parent and piece, which are unique together."""
        return self._find("SELECT id FROM nodes WHERE parent = ? AND chunk = ?", (parent, chunk))

    def add(
        self, chunks: Sequence[ChunkRow], nodes: Sequence[NodeRow], bodies: Sequence[BodyRow]
    ) -> None:
        """Many rows with each statement."""
        _ADD_CHUNKS.run(self._connection, [value for row in chunks for value in row])
        _ADD_NODES.run(self._connection, [value for row in nodes for value in row])
        _ADD_BODIES.run(self._connection, [value for row in bodies for value in row])

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _begin(self) -> Standing:
        erasures = erasures_of(self._connection)
        is_known, self._erasures = erasures == self._erasures, erasures
        chunk, node, body = self._connection.execute(
            "SELECT (SELECT coalesce(max(id), 0) + 1 FROM chunks),"
            " (SELECT coalesce(max(id), 0) + 1 FROM nodes),"
            " (SELECT coalesce(max(number), 0) + 1 FROM bodies)"
        ).fetchone()
        return Standing(is_known, chunk, node, body)

    def _find(self, query: str, values: tuple[object, ...]) -> int | None:
        row = self._connection.execute(query, values).fetchone()
        return int(row[0]) if row else None


@final
class SqliteShelves:
    """The files of all organisations under a data folder; implements `place.Shelves`."""

    def __init__(self, folder: Path) -> None:
        """Take the data folder; files are opened when they are asked for."""
        self._folder = folder
        self._connections: dict[str, sqlite3.Connection] = {}

    def open(self, organisation: str) -> SqliteShelf:
        """One organisation's file for writing."""
        return SqliteShelf(shelf_path(self._folder, organisation))

    def key(self, organisation: str) -> bytes | None:
        """As it stands in the file; None while there is none."""
        connection = self._readable(organisation)
        if connection is None:
            return None
        with translated(shelf_path(self._folder, organisation), BODIES.noun):
            return _key(connection)

    def get(self, organisation: str, action: str, part: Part) -> tuple[bytes, Pieces] | None:
        """Salt and pieces of a body."""
        connection = self._readable(organisation)
        if connection is None:
            return None
        with translated(shelf_path(self._folder, organisation), BODIES.noun):
            row = connection.execute(_BODY, (action, part)).fetchone()
            if row is None:
                return None
            salt, head, node, packed, data = row
            chain = connection.execute(_MESSAGES, (node,)) if node else ()
            messages = tuple(unpack(*piece) for piece in chain)
            return salt, Pieces(unpack(packed, data), head, messages)

    def erase(self, organisation: str, actions: Sequence[str]) -> int:
        """Rows, salts, pieces that nobody else needs, and the index of their words."""
        return erase(self._folder, organisation, actions)

    def close(self) -> None:
        """Close all files that were opened for reading."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def _readable(self, organisation: str) -> sqlite3.Connection | None:
        connection = self._connections.get(organisation)
        if connection is None:
            path = shelf_path(self._folder, organisation)
            if path.exists():
                connection = self._connections[organisation] = open_readable(path, BODIES)
        return connection


def unpack(packed: object, data: bytes) -> bytes:
    """The bytes of a stored piece."""
    return decompress(data) if packed else data


def _key(connection: sqlite3.Connection) -> bytes:
    (key,) = connection.execute("SELECT key FROM keys").fetchone()
    return bytes(key)

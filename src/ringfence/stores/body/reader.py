"""Read stored bodies back, byte for byte, beside the writer or after it."""

import sqlite3
from pathlib import Path
from typing import Final, final

from ringfence.stores.body.address import matches
from ringfence.stores.body.content import Part, Pieces, join
from ringfence.stores.body.schema import BODIES, shelf_path
from ringfence.stores.compression import decompress
from ringfence.stores.database import open_readable, translated

_BODY: Final = """SELECT salt, head, node, packed, data
    FROM bodies JOIN chunks ON chunks.id = envelope WHERE action = ? AND part = ?"""

_MESSAGES: Final = """WITH RECURSIVE chain (parent, chunk, place) AS (
        SELECT parent, chunk, 0 FROM nodes WHERE id = ?
        UNION ALL
        SELECT nodes.parent, nodes.chunk, place + 1 FROM chain JOIN nodes ON nodes.id = chain.parent
    )
    SELECT packed, data FROM chain JOIN chunks ON chunks.id = chunk ORDER BY place DESC"""


@final
class BodyReader:
    """Reads the bodies of all organisations, each from its own file; used by one thread."""

    def __init__(self, folder: Path) -> None:
        """Take the data folder; files are opened when they are asked for."""
        self._folder = folder
        self._connections: dict[str, sqlite3.Connection] = {}

    def get(self, organisation: str, action: str, part: Part) -> bytes | None:
        """The exact bytes, None if they are not stored. Raises as `open_readable`."""
        found = self._read(organisation, action, part)
        return found[1] if found else None

    def holds(self, organisation: str, action: str, part: Part, committed: str) -> bool:
        """Whether the stored bytes are those that a leaf committed to."""
        found = self._read(organisation, action, part)
        if found is None:
            return False
        connection = self._connections[organisation]
        (key,) = connection.execute("SELECT key FROM keys").fetchone()
        return matches(key, found[0], found[1], committed)

    def close(self) -> None:
        """Close all files."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def _read(self, organisation: str, action: str, part: Part) -> tuple[bytes, bytes] | None:
        """Salt and bytes."""
        connection = self._open(organisation)
        if connection is None:
            return None
        with translated(shelf_path(self._folder, organisation), BODIES.noun):
            row = connection.execute(_BODY, (action, part)).fetchone()
            if row is None:
                return None
            salt, head, node, packed, data = row
            chain = connection.execute(_MESSAGES, (node,)) if node else ()
            messages = tuple(unpack(*piece) for piece in chain)
            return salt, join(Pieces(unpack(packed, data), head, messages))

    def _open(self, organisation: str) -> sqlite3.Connection | None:
        """The organisation's file, None while it has stored nothing."""
        connection = self._connections.get(organisation)
        if connection is None:
            path = shelf_path(self._folder, organisation)
            if path.exists():
                connection = self._connections[organisation] = open_readable(path, BODIES)
        return connection


def unpack(packed: int, data: bytes) -> bytes:
    """The bytes of a stored piece."""
    return decompress(data) if packed else data

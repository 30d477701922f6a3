"""Bodies in PostgreSQL: the rows of all organisations in the same tables, none without its own."""

import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, Final, final

from ringfence.stores.body.content import Part, Pieces
from ringfence.stores.body.place import BodyRow, ChunkRow, NodeRow, Standing
from ringfence.stores.body.schema import require_id
from ringfence.stores.body.sqlite import unpack
from ringfence.stores.postgresql.address import Address
from ringfence.stores.postgresql.body_erasure import erase
from ringfence.stores.postgresql.connection import Connection, connect, translated
from ringfence.stores.postgresql.migration import migrate
from ringfence.stores.postgresql.schema import STORES

NOUN: Final = "body store"

_KEY_BYTES: Final = 32
_MAKE: Final = b"INSERT INTO body_shelves VALUES (%s, %s) ON CONFLICT (organisation) DO NOTHING"
_KEY: Final = b"SELECT key FROM body_shelves WHERE organisation = %s"
_BEGIN: Final = b"""SELECT erasures, next_chunk, next_node, next_body
    FROM body_shelves WHERE organisation = %s FOR UPDATE"""
_END: Final = b"""UPDATE body_shelves
    SET next_chunk = next_chunk + %s, next_node = next_node + %s, next_body = next_body + %s
    WHERE organisation = %s"""
_FIND_CHUNKS: Final = b"""SELECT address, id FROM body_chunks
    WHERE organisation = %s AND address = ANY(%s)"""
_FIND_NODE: Final = b"""SELECT id FROM body_nodes
    WHERE organisation = %s AND parent = %s AND chunk = %s"""
_ADD_CHUNKS: Final = b"""INSERT INTO body_chunks SELECT %s, * FROM
    unnest(%s::bigint[], %s::bytea[], %s::bigint[], %s::boolean[], %s::bytea[])"""
_ADD_NODES: Final = b"""INSERT INTO body_nodes SELECT %s, * FROM
    unnest(%s::bigint[], %s::bigint[], %s::bigint[])"""
_ADD_BODIES: Final = b"""INSERT INTO bodies SELECT %s, * FROM
    unnest(%s::bigint[], %s::text[], %s::smallint[], %s::bytea[],
        %s::bigint[], %s::integer[], %s::bigint[])
    ON CONFLICT (organisation, action, part) DO NOTHING"""

_BODY: Final = b"""SELECT salt, head, node, packed, data FROM bodies
    JOIN body_chunks AS piece ON piece.organisation = bodies.organisation AND piece.id = envelope
    WHERE bodies.organisation = %s AND action = %s AND part = %s"""
_MESSAGES: Final = b"""WITH RECURSIVE chain (parent, chunk, place) AS (
        SELECT parent, chunk, 0 FROM body_nodes WHERE organisation = %(organisation)s
            AND id = %(node)s
        UNION ALL
        SELECT node.parent, node.chunk, place + 1 FROM chain
            JOIN body_nodes AS node
                ON node.organisation = %(organisation)s AND node.id = chain.parent
    )
    SELECT packed, data FROM chain
        JOIN body_chunks AS piece ON piece.organisation = %(organisation)s AND piece.id = chunk
        ORDER BY place DESC"""


@final
class PostgresShelf:
    """One organisation's bodies for writing; implements `stores.body.place.ShelfRows`.

    Writers of several planes take turns by locking the organisation's row.
    """

    def __init__(self, address: Address, organisation: str) -> None:
        """Connect, and give the organisation a key if it has none.

        Raises as `connect` and `require_id`.
        """
        require_id(organisation)
        self._address = address
        self._organisation = organisation
        self._connection = open_bodies(address)
        self._erasures = -1
        try:
            with translated(NOUN):
                self._connection.execute(_MAKE, (organisation, os.urandom(_KEY_BYTES)))
                self.key = key_of(self._connection, organisation) or b""
        except BaseException:
            self._connection.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[Standing]:
        """Numbers are given on from where the last writer stopped, whoever it was."""
        if self._connection.closed:
            self._connection = open_bodies(self._address)
            self._erasures = -1
        try:
            with translated(NOUN), self._connection.transaction():
                row = self._connection.execute(_BEGIN, (self._organisation,)).fetchone()
                erasures, chunk, node, body = row or (0, 1, 1, 1)
                is_known, self._erasures = erasures == self._erasures, erasures
                yield Standing(is_known, chunk, node, body)
        except BaseException:
            self._erasures = -1
            raise

    def find_chunks(self, addresses: Sequence[bytes]) -> dict[bytes, int]:
        """By the addresses, which are unique."""
        asked = (self._organisation, list(addresses))
        found = self._connection.execute(_FIND_CHUNKS, asked).fetchall() if addresses else ()
        return {bytes(address): int(number) for address, number in found}

    def find_node(self, parent: int, chunk: int) -> int | None:
        """By parent and piece, which are unique together."""
        return self._find(_FIND_NODE, parent, chunk)

    def add(
        self, chunks: Sequence[ChunkRow], nodes: Sequence[NodeRow], bodies: Sequence[BodyRow]
    ) -> None:
        """One statement for each table, all sent together."""
        with self._connection.pipeline():
            self._add(_ADD_CHUNKS, chunks)
            self._add(_ADD_NODES, nodes)
            self._add(_ADD_BODIES, bodies)
            given = (len(chunks), len(nodes), len(bodies), self._organisation)
            self._connection.execute(_END, given)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _add(self, query: bytes, rows: Sequence[tuple[object, ...]]) -> None:
        if rows:
            columns = [list(column) for column in zip(*rows, strict=True)]
            self._connection.execute(query, (self._organisation, *columns))

    def _find(self, query: bytes, *values: object) -> int | None:
        row = self._connection.execute(query, (self._organisation, *values)).fetchone()
        return int(row[0]) if row else None


@final
class PostgresShelves:
    """The bodies of all organisations in a database; implements `stores.body.place.Shelves`."""

    def __init__(self, address: Address) -> None:
        """Connections are made when they are needed."""
        self._address = address
        self._reading: Connection | None = None

    def open(self, organisation: str) -> PostgresShelf:
        """One organisation's bodies for writing, on a connection of their own."""
        return PostgresShelf(self._address, organisation)

    def key(self, organisation: str) -> bytes | None:
        """As it stands in the organisation's row."""
        connection = self._readable()
        with translated(NOUN):
            return key_of(connection, organisation)

    def get(self, organisation: str, action: str, part: Part) -> tuple[bytes, Pieces] | None:
        """Salt and pieces of a body."""
        require_id(organisation)
        connection = self._readable()
        with translated(NOUN):
            found = self._all(connection, _BODY, (organisation, action, int(part)))
            if not found:
                return None
            salt, head, node, packed, data = found[0]
            asked = {"organisation": organisation, "node": node}
            chain = self._all(connection, _MESSAGES, asked) if node else []
            return salt, Pieces(unpack(packed, data), head, tuple(unpack(*one) for one in chain))

    def erase(self, organisation: str, actions: Sequence[str]) -> int:
        """On a connection of its own."""
        require_id(organisation)
        with closing(open_bodies(self._address)) as connection, translated(NOUN):
            return erase(connection, organisation, actions)

    def close(self) -> None:
        """Close the connection that reads."""
        if self._reading is not None:
            self._reading.close()
            self._reading = None

    def _readable(self) -> Connection:
        if self._reading is None or self._reading.closed:
            self._reading = open_bodies(self._address)
        return self._reading

    @staticmethod
    def _all(connection: Connection, query: bytes, values: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401 (as the driver takes them)
        return connection.execute(query, values, binary=True).fetchall()


def open_bodies(address: Address) -> Connection:
    """A connection to migrated tables; what it commits may be lost in a power cut, never torn."""
    connection = connect(address)
    try:
        with translated(NOUN):
            migrate(connection, STORES)
            connection.execute("SET synchronous_commit = off")
    except BaseException:
        connection.close()
        raise
    return connection


def key_of(connection: Connection, organisation: str) -> bytes | None:
    """The key of an organisation's addresses; None while it has stored nothing."""
    row = connection.execute(_KEY, (organisation,)).fetchone()
    return bytes(row[0]) if row else None

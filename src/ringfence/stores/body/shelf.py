"""Write the bodies of one organisation: each piece once, each conversation as a chain."""

import sqlite3
from collections.abc import Iterable
from typing import Final, NamedTuple, final

import msgspec

from ringfence.stores.body.address import Addresses
from ringfence.stores.body.content import Body, Part, cut
from ringfence.stores.body.recent import Recent
from ringfence.stores.bulk import Bulk
from ringfence.stores.compression import Compressor
from ringfence.stores.database import transaction

_ADD_CHUNKS = Bulk("INSERT INTO chunks VALUES", 5)
_ADD_NODES = Bulk("INSERT INTO nodes VALUES", 3)
_ADD_BODIES = Bulk("INSERT OR IGNORE INTO bodies VALUES", 7)

_LEVEL: Final = 1
"""Measured on messages of 1 to 23 KB: level 3 is 0 to 5 % smaller at 1.2 to 1.6 times the time."""

_SMALLEST_PACKED_BYTES: Final = 64
_REMEMBERED_PIECES: Final = 20_000
_REMEMBERED_TALK_BYTES: Final = 16 * 1024 * 1024


class Entry(NamedTuple):
    """A body on its way to the disk. `talk` names the conversation it may continue."""

    organisation: str
    action: str
    part: Part
    talk: str
    body: Body
    address: bytes
    salt: bytes


class _Root(msgspec.Struct, frozen=True):
    """What the rows of one body point to."""

    envelope: int
    head: int
    node: int


class _Talk(msgspec.Struct, frozen=True):
    """The last body of a conversation and the node reached after each of its messages."""

    body: Body
    nodes: tuple[int, ...]


@final
class Shelf:
    """The writer of one organisation's file; used by one thread.

    What it remembers of the file saves look-ups and is thrown away when another process changed
    the file or a transaction failed.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Take a connection in autocommit mode to a migrated file."""
        self._connection = connection
        self._compressor = Compressor(_LEVEL)
        (key,) = connection.execute("SELECT key FROM keys").fetchone()
        self._addresses = Addresses(key)
        self._data_version = -1
        self._first_new_chunk = self._next_chunk = self._next_node = self._next_body = 1
        self._forget()

    def _forget(self) -> None:
        self._roots: Recent[bytes, _Root] = Recent(_REMEMBERED_PIECES)
        self._chunk_ids: Recent[bytes, int] = Recent(_REMEMBERED_PIECES)
        self._node_ids: Recent[tuple[int, int], int] = Recent(_REMEMBERED_PIECES)
        self._talks: Recent[str, _Talk] = Recent(
            _REMEMBERED_TALK_BYTES, lambda talk: len(talk.body.whole)
        )
        self._new_chunks: list[tuple[int, bytes, int, bool, bytes]] = []
        self._new_nodes: list[tuple[int, int, int]] = []

    def add(self, entries: Iterable[Entry]) -> None:
        """Write bodies in one transaction; all or none."""
        try:
            with transaction(self._connection):
                self._begin()
                self._first_new_chunk = self._next_chunk
                self._insert([value for entry in entries for value in self._row(entry)])
        except BaseException:
            self._data_version = -1
            raise
        self._new_chunks.clear()
        self._new_nodes.clear()

    def _insert(self, bodies: list[object]) -> None:
        _ADD_CHUNKS.run(self._connection, [value for row in self._new_chunks for value in row])
        _ADD_NODES.run(self._connection, [value for row in self._new_nodes for value in row])
        _ADD_BODIES.run(self._connection, bodies)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _begin(self) -> None:
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        if version == self._data_version:
            return
        self._forget()
        self._data_version = version
        self._next_chunk, self._next_node, self._next_body = self._connection.execute(
            "SELECT (SELECT coalesce(max(id), 0) + 1 FROM chunks),"
            " (SELECT coalesce(max(id), 0) + 1 FROM nodes),"
            " (SELECT coalesce(max(number), 0) + 1 FROM bodies)"
        ).fetchone()

    def _row(self, entry: Entry) -> tuple[int, str, int, bytes, int, int, int]:
        root = self._roots.get(entry.address)
        if root is None:
            root = self._store(entry)
            self._roots.put(entry.address, root)
        number = self._next_body
        self._next_body += 1
        return (
            number, entry.action, entry.part, entry.salt, root.envelope, root.head, root.node,
        )  # fmt: skip

    def _store(self, entry: Entry) -> _Root:
        pieces = cut(entry.body)
        envelope = self._chunk(pieces.envelope)
        known = self._known_nodes(entry) if pieces.messages else ()
        nodes = list(known)
        node = nodes[-1] if nodes else 0
        for message in pieces.messages[len(nodes) :]:
            node = self._node(node, self._chunk(message))
            nodes.append(node)
        if nodes:
            self._talks.put(entry.talk, _Talk(entry.body, tuple(nodes)))
        return _Root(envelope, pieces.head, node)

    def _known_nodes(self, entry: Entry) -> tuple[int, ...]:
        """Nodes of the messages that this body begins with as the last of its conversation did.

        Comparing bytes is many times cheaper than hashing every old message again.
        """
        last = self._talks.get(entry.talk)
        if last is None:
            return ()
        low, high = 0, min(len(last.nodes), len(entry.body.spans))
        while low < high:
            middle = (low + high + 1) // 2
            if _begins_alike(last.body, entry.body, middle):
                low = middle
            else:
                high = middle - 1
        return last.nodes[:low]

    def _chunk(self, data: bytes) -> int:
        address = self._addresses.chunk(data)
        known: int | None = self._chunk_ids.get(address)
        if known is None:
            known = self._find("SELECT id FROM chunks WHERE address = ?", (address,))
            if known is None:
                known = self._new_chunk(address, data)
            self._chunk_ids.put(address, known)
        return known

    def _new_chunk(self, address: bytes, data: bytes) -> int:
        number = self._next_chunk
        self._next_chunk += 1
        packed = self._compressor.compress(data) if len(data) >= _SMALLEST_PACKED_BYTES else data
        is_smaller = len(packed) < len(data)
        self._new_chunks.append(
            (number, address, self._next_body, is_smaller, packed if is_smaller else data)
        )
        return number

    def _node(self, parent: int, chunk: int) -> int:
        key = (parent, chunk)
        known = self._node_ids.get(key)
        if known is None:
            if chunk < self._first_new_chunk:  # no node in the file can name a newer one
                known = self._find("SELECT id FROM nodes WHERE parent = ? AND chunk = ?", key)
            if known is None:
                known = self._next_node
                self._next_node += 1
                self._new_nodes.append((known, *key))
            self._node_ids.put(key, known)
        return known

    def _find(self, query: str, values: tuple[object, ...]) -> int | None:
        row = self._connection.execute(query, values).fetchone()
        return int(row[0]) if row else None


def _begins_alike(one: Body, other: Body, messages: int) -> bool:
    """Whether the first messages of two bodies, separators included, are the same bytes."""
    spans, shift = one.spans[:messages], other.spans[0][0] - one.spans[0][0]
    if shift:
        spans = tuple((start + shift, stop + shift) for start, stop in spans)
    if spans != other.spans[:messages]:
        return False
    start, end = spans[0][0], spans[-1][1]
    return other.whole[start:end] == one.whole[start - shift : end - shift]

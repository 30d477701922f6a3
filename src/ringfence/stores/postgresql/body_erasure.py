"""Erase bodies in PostgreSQL for good: rows, salts, pieces that nobody else needs, and their words.

As `stores.body.erasure` does it in a file. The server itself keeps what was deleted until it
vacuums the tables and throws away its write-ahead log.
"""

from collections.abc import Collection, Sequence
from typing import Final

from ringfence.stores.postgresql.connection import Connection

_AT_ONCE: Final = 200
"""Actions in one transaction, so that the bodies' writers never wait long."""

_PATIENCE_S: Final = 60.0

# Locks the organisation's row as a writer does; the number tells writers to forget what they know.
_BEGIN: Final = b"UPDATE body_shelves SET erasures = erasures + 1 WHERE organisation = %s"
_DELETE: Final = b"""DELETE FROM bodies WHERE organisation = %s AND action = ANY(%s)
    RETURNING envelope, node"""
_WITH_PARENTS: Final = b"""WITH RECURSIVE chain (id, parent, chunk) AS (
        SELECT id, parent, chunk FROM body_nodes WHERE organisation = %(organisation)s
            AND id = ANY(%(nodes)s)
        UNION
        SELECT node.id, node.parent, node.chunk FROM chain JOIN body_nodes AS node
            ON node.organisation = %(organisation)s AND node.id = chain.parent
    )
    SELECT id, parent, chunk FROM chain"""
# One user is enough: an envelope may be that of every call an agent ever made.
_ENDS: Final = b"""SELECT asked.id FROM unnest(%(nodes)s::bigint[]) AS asked (id)
    WHERE EXISTS (SELECT 1 FROM bodies
        WHERE organisation = %(organisation)s AND node = asked.id)"""
_CHILDREN: Final = b"""SELECT id, parent FROM body_nodes
    WHERE organisation = %(organisation)s AND parent = ANY(%(nodes)s)"""
_DELETE_NODES: Final = b"DELETE FROM body_nodes WHERE organisation = %s AND id = ANY(%s)"
_DELETE_CHUNKS: Final = b"""DELETE FROM body_chunks AS piece
    WHERE organisation = %(organisation)s AND id = ANY(%(chunks)s)
        AND NOT EXISTS (SELECT 1 FROM bodies
            WHERE organisation = %(organisation)s AND envelope = piece.id)
        AND NOT EXISTS (SELECT 1 FROM body_nodes
            WHERE organisation = %(organisation)s AND chunk = piece.id)
    RETURNING id"""
_FORGET_WORDS: Final = b"DELETE FROM body_words WHERE organisation = %s AND chunk = ANY(%s)"


def erase(connection: Connection, organisation: str, actions: Sequence[str]) -> int:
    """Erase requests and responses of actions; gives how many bodies that were.

    May run beside the bodies' writers, which notice. Raises psycopg.Error.
    """
    connection.patience_s = _PATIENCE_S
    erased = 0
    for at in range(0, len(actions), _AT_ONCE):
        with connection.transaction():
            erased += _erase_some(connection, organisation, list(actions[at : at + _AT_ONCE]))
    return erased


def _erase_some(connection: Connection, organisation: str, actions: list[str]) -> int:
    connection.execute(b"SET LOCAL synchronous_commit = on")  # what was told as erased stays so
    connection.execute(_BEGIN, (organisation,))
    gone = connection.execute(_DELETE, (organisation, actions)).fetchall()
    nodes = {node for _, node in gone if node}
    chunks = {envelope for envelope, _ in gone}
    chunks |= _delete_nodes(connection, organisation, nodes)
    asked = {"organisation": organisation, "chunks": list(chunks)}
    freed = [number for (number,) in connection.execute(_DELETE_CHUNKS, asked).fetchall()]
    connection.execute(_FORGET_WORDS, (organisation, freed))
    return len(gone)


def _delete_nodes(connection: Connection, organisation: str, nodes: Collection[int]) -> set[int]:
    """Delete the chains that only erased bodies had; gives the pieces they named.

    INVARIANT: a chain's number is above that of the chain it goes on from, since it was made later;
    so falling numbers meet each chain after all that go on from it.
    """
    asked: dict[str, object] = {"organisation": organisation, "nodes": list(nodes)}
    chains = {
        number: (parent, chunk)
        for number, parent, chunk in connection.execute(_WITH_PARENTS, asked).fetchall()
    }
    asked["nodes"] = list(chains)
    kept = {end for (end,) in connection.execute(_ENDS, asked).fetchall()}
    children = connection.execute(_CHILDREN, asked).fetchall()
    kept |= {parent for child, parent in children if child not in chains}
    for number in sorted(chains, reverse=True):
        if number in kept:
            kept.add(chains[number][0])
    gone = chains.keys() - kept
    connection.execute(_DELETE_NODES, (organisation, list(gone)))
    return {chains[number][1] for number in gone}

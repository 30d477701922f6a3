"""A Merkle tree that only grows, kept as the roots of its complete parts."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final, Self, final

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
"""The root of a tree without leaves (RFC 9162 section 2.1.1)."""

_sha256: Final = hashlib.sha256


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of a leaf: its prefix keeps it from ever being taken for a node's."""
    return _sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return _sha256(b"\x01" + left + right).digest()


@final
class Tree:
    """A tree of any size in 32 bytes for each bit of it.

    `frontier` holds the roots of the complete subtrees that the leaves fall into, the largest
    first; there is one for each bit that is set in `size`.
    """

    __slots__ = ("_frontier", "size")

    def __init__(self) -> None:
        """No leaves yet."""
        self.size = 0
        self._frontier: list[bytes] = []

    @classmethod
    def resume(cls, size: int, frontier: Sequence[bytes]) -> Self:
        """Go on from a frontier. Raises ValueError if it is not one of a tree of that size.

        Whoever compares `root()` with a signed one knows the frontier to be the true one.
        """
        if size < 0 or len(frontier) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has no frontier of {len(frontier)} hashes")
        if any(len(each) != HASH_BYTES for each in frontier):
            raise ValueError("a hash has 32 bytes")
        tree = cls()
        tree.size, tree._frontier = size, list(frontier)
        return tree

    @property
    def frontier(self) -> tuple[bytes, ...]:
        """What `resume` takes."""
        return tuple(self._frontier)

    def append(self, leaf: bytes) -> None:
        """Add the hash of one more leaf."""
        self.extend((leaf,))

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add the hashes of leaves, in order."""
        frontier, size, sha256 = self._frontier, self.size, _sha256
        for leaf in leaves:
            node, complete = leaf, size
            while complete & 1:
                node = sha256(b"\x01" + frontier.pop() + node).digest()
                complete >>= 1
            frontier.append(node)
            size += 1
        self.size = size

    def root(self) -> bytes:
        """The root over all leaves so far."""
        if not self._frontier:
            return EMPTY_ROOT
        *others, root = self._frontier
        for left in reversed(others):
            root = node_hash(left, root)
        return root

"""Proofs that a leaf is in a tree, and that a tree is the beginning of a larger one.

The provers ask for subtrees by the half-open range of leaves below them, so that whoever keeps
hashes decides how to find them.
"""

from collections.abc import Callable, Sequence

from ringfence.analysis.merkle.tree import EMPTY_ROOT, node_hash

Subtree = Callable[[int, int], bytes]
"""The root over the leaves from one index up to another, not included."""


def inclusion(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """The path from a leaf to the root of a tree of `size` leaves, lowest sibling first.

    Raises ValueError if the leaf is not in the tree. Source: RFC 9162 section 2.1.3.1.
    """
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a tree of {size}")
    path: list[bytes] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(subtree(middle, high))
            high = middle
        else:
            path.append(subtree(low, middle))
            low = middle
    return path[::-1]


def is_included(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether a leaf's hash stands at an index of the tree with this root.

    Source: RFC 9162 section 2.1.3.2.
    """
    if not 0 <= index < size:
        return False
    first, last, node = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if first & 1 or first == last:
            node = node_hash(sibling, node)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        first, last = first >> 1, last >> 1
    return last == 0 and node == root


def consistency(old: int, new: int, subtree: Subtree) -> list[bytes]:
    """The proof that a tree of `old` leaves is the beginning of one of `new`.

    Empty for an empty or an equal tree. Raises ValueError if `old` is larger. Source: RFC 9162
    section 2.1.4.1.
    """
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {old} cannot be the beginning of one of {new}")
    if old in {0, new}:
        return []
    path: list[bytes] = []
    low, high, is_whole = 0, new, True
    while high != old:
        middle = low + _split(high - low)
        if old <= middle:
            path.append(subtree(middle, high))
            high = middle
        else:
            path.append(subtree(low, middle))
            low, is_whole = middle, False
    if not is_whole:
        path.append(subtree(low, high))
    return path[::-1]


def is_consistent(
    old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]
) -> bool:
    """Whether the tree with the old root is the beginning of that with the new one.

    Source: RFC 9162 section 2.1.4.2.
    """
    if not 0 <= old <= new:
        return False
    if old == new:
        return not path and old_root == new_root
    if old == 0:
        return not path and old_root == EMPTY_ROOT
    return _climb(old, new, path, (old_root, new_root))


def _climb(old: int, new: int, path: Sequence[bytes], roots: tuple[bytes, bytes]) -> bool:
    """Rebuild both roots from the old tree's last complete subtree upwards."""
    rest = list(path)
    if old & (old - 1) == 0:
        rest.insert(0, roots[0])
    if not rest:
        return False
    first, last = old - 1, new - 1
    while first & 1:
        first, last = first >> 1, last >> 1
    old_node = new_node = rest[0]
    for sibling in rest[1:]:
        if last == 0:
            return False
        if first & 1 or first == last:
            old_node, new_node = node_hash(sibling, old_node), node_hash(sibling, new_node)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            new_node = node_hash(new_node, sibling)
        first, last = first >> 1, last >> 1
    return last == 0 and (old_node, new_node) == roots


def _split(count: int) -> int:
    """The largest power of two below a count of at least 2."""
    return 1 << ((count - 1).bit_length() - 1)

"""The Merkle tree over a log's leaves: RFC 9162 section 2.1, with SHA-256.

Read in this order: `tree` (hashes, and a tree that grows), `proof` (what one root tells of a leaf
or of an older root).
"""

from ringfence.analysis.merkle.proof import (
    consistency,
    inclusion,
    is_consistent,
    is_included,
)
from ringfence.analysis.merkle.tree import EMPTY_ROOT, HASH_BYTES, Tree, leaf_hash, node_hash

__all__ = [
    "EMPTY_ROOT",
    "HASH_BYTES",
    "Tree",
    "consistency",
    "inclusion",
    "is_consistent",
    "is_included",
    "leaf_hash",
    "node_hash",
]

"""Proofs against published ones, against the definition, and against whoever forges them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.analysis.merkle.test_tree import LEAVES, ROOTS, naive_root

from ringfence.analysis.merkle import (
    consistency,
    inclusion,
    is_consistent,
    is_included,
    leaf_hash,
)

# From the certificate-transparency reference tests for RFC 6962.
INCLUSIONS = {
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
CONSISTENCIES = {
    (1, 1): [],
    (1, 8): INCLUSIONS[0, 8],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}


def over(leaves: list[bytes], low: int, high: int) -> bytes:
    return naive_root(leaves[low:high])


def hexed(path: list[bytes]) -> list[str]:
    return [each.hex() for each in path]


@pytest.mark.parametrize(("index", "size"), INCLUSIONS)
def test_inclusion_proofs_are_those_of_the_reference_tests(index: int, size: int) -> None:
    path = inclusion(index, size, lambda low, high: over(LEAVES, low, high))
    assert hexed(path) == INCLUSIONS[index, size]
    root = bytes.fromhex(ROOTS[size - 1])
    assert is_included(leaf_hash(LEAVES[index]), index, size, path, root)


@pytest.mark.parametrize(("old", "new"), CONSISTENCIES)
def test_consistency_proofs_are_those_of_the_reference_tests(old: int, new: int) -> None:
    path = consistency(old, new, lambda low, high: over(LEAVES, low, high))
    assert hexed(path) == CONSISTENCIES[old, new]
    roots = bytes.fromhex(ROOTS[old - 1]), bytes.fromhex(ROOTS[new - 1])
    assert is_consistent(old, new, *roots, path)


def made(size: int, seed: int = 0) -> list[bytes]:
    return [b"%d/%d" % (seed, number) for number in range(size)]


@given(st.integers(1, 70), st.data())
def test_every_leaf_is_proven_and_nothing_else_is(size: int, data: st.DataObject) -> None:
    leaves = made(size)
    index = data.draw(st.integers(0, size - 1))
    path = inclusion(index, size, lambda low, high: over(leaves, low, high))
    leaf, root = leaf_hash(leaves[index]), naive_root(leaves)
    assert is_included(leaf, index, size, path, root)
    assert not is_included(leaf_hash(b"other"), index, size, path, root)
    assert not is_included(leaf, index, size, path, leaf_hash(b"other"))
    assert not is_included(leaf, index, size, [*path, root], root)
    assert not is_included(leaf, index + size, size, path, root)
    assert size == 1 or not is_included(leaf, index, size, path[:-1], root)
    other = data.draw(st.integers(0, size - 1).filter(lambda each: size == 1 or each != index))
    assert size == 1 or not is_included(leaf, other, size, path, root)


@given(st.integers(0, 70), st.integers(0, 70), st.data())
def test_every_beginning_is_proven_and_nothing_else_is(
    old: int, more: int, data: st.DataObject
) -> None:
    new = old + more
    leaves = made(new)
    path = consistency(old, new, lambda low, high: over(leaves, low, high))
    roots = naive_root(leaves[:old]), naive_root(leaves)
    assert is_consistent(old, new, *roots, path)
    assert not is_consistent(old, new, leaf_hash(b"other"), roots[1], path)
    assert not is_consistent(old, new, *roots, [*path, roots[1]])
    if 0 < old < new:
        at = data.draw(st.integers(0, len(path) - 1))
        forged = [*path[:at], leaf_hash(b"other"), *path[at + 1 :]]
        assert not is_consistent(old, new, *roots, forged)
        assert not is_consistent(old, new, roots[0], naive_root(made(new, 1)), path)
        assert not is_consistent(old, new, *roots, [])


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="no leaf 3"):
        inclusion(3, 3, lambda _low, _high: b"")
    with pytest.raises(ValueError, match="beginning"):
        consistency(4, 3, lambda _low, _high: b"")
    assert not is_consistent(4, 3, b"", b"", [])

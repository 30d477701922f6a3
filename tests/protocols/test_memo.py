import pytest

from ringfence.protocols.memo import Memo


def test_the_same_bytes_are_read_once() -> None:
    seen: list[bytes] = []

    def read(raw: bytes) -> int:
        seen.append(raw)
        return len(seen)

    memo = Memo(read)
    first = b"x" * 1000
    assert [memo.read(first), memo.read(bytes(bytearray(first)))] == [1, 1]
    assert memo.read(b"y" * 1000) == 2


def test_bytes_that_differ_where_no_sample_is_taken_are_told_apart() -> None:
    memo = Memo(lambda raw: raw)
    one, other = bytearray(b"x" * 2000), bytearray(b"x" * 2000)
    other[300] = 0
    for raw in (bytes(one), bytes(other), bytes(one)):
        assert memo.read(raw) == raw


def test_the_least_used_is_forgotten_first() -> None:
    seen: list[bytes] = []
    memo = Memo(seen.append, entries=2)
    for raw in (b"a", b"b", b"a", b"c", b"a", b"b"):
        memo.read(raw)
    assert seen == [b"a", b"b", b"c", b"b"]


def test_what_is_too_long_is_not_kept() -> None:
    seen: list[bytes] = []
    memo = Memo(seen.append, longest_bytes=3)
    for raw in (b"long", b"long"):
        memo.read(raw)
    assert seen == [b"long", b"long"]


def test_a_failure_is_not_remembered() -> None:
    attempts: list[bytes] = []

    def fail(raw: bytes) -> None:
        attempts.append(raw)
        raise ValueError(raw)

    memo = Memo(fail)
    for _ in range(2):
        with pytest.raises(ValueError, match="x"):
            memo.read(b"x")
    assert attempts == [b"x", b"x"]

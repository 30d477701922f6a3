"""Identifiers are UUIDv7 with a prefix: they sort by time and collide only by chance."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.identifier import make

times = st.integers(0, 2**48 - 1)
bits = st.integers(0, 2**74 - 1)


@given(times, bits)
def test_an_id_is_a_uuid_of_version_seven(unix_ms: int, randomness: int) -> None:
    prefix, _, digits = make("act", unix_ms, randomness).partition("_")
    uuid = UUID(hex=digits)
    assert (prefix, len(digits), uuid.version) == ("act", 32, 7)
    assert uuid.variant == "specified in RFC 4122"
    assert uuid.int >> 80 == unix_ms


@given(st.tuples(times, bits), st.tuples(times, bits))
def test_ids_sort_by_time(one: tuple[int, int], other: tuple[int, int]) -> None:
    earlier, later = sorted([one, other])
    assert make("inv", *earlier) <= make("inv", *later)


@given(times, bits, bits)
def test_every_random_bit_counts(unix_ms: int, one: int, other: int) -> None:
    assert (make("inv", unix_ms, one) == make("inv", unix_ms, other)) is (one == other)


def test_an_id_is_what_the_standard_shows() -> None:
    """RFC 9562 appendix A.6."""
    randomness = (0xCC3 << 62) | 0x18C4DC0C0C07398F
    assert make("org", 0x017F22E279B0, randomness) == "org_017f22e279b07cc398c4dc0c0c07398f"


@pytest.mark.parametrize("prefix", ["org", "agt", "inv"])
def test_an_id_says_what_it_names(prefix: str) -> None:
    assert make(prefix, 0, 0).startswith(f"{prefix}_")  # type: ignore[arg-type]

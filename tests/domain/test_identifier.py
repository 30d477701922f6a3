import uuid

from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain import identifier

TIMES = st.integers(0, 2**48 - 1)
RANDOMNESS = st.integers(0, 2**74 - 1)


@given(TIMES, RANDOMNESS)
def test_an_id_is_a_uuid_of_version_7_behind_its_prefix(unix_ms: int, randomness: int) -> None:
    made = identifier.make("agt", unix_ms, randomness)
    prefix, _, digits = made.partition("_")
    value = uuid.UUID(digits)
    assert prefix == "agt"
    assert value.variant == uuid.RFC_4122
    assert value.version == 7
    assert value.int >> 80 == unix_ms


@given(st.tuples(TIMES, RANDOMNESS), st.tuples(TIMES, RANDOMNESS))
def test_ids_sort_by_time(one: tuple[int, int], two: tuple[int, int]) -> None:
    if one[0] < two[0]:
        assert identifier.make("act", *one) < identifier.make("act", *two)


@given(TIMES, st.lists(RANDOMNESS, min_size=2, max_size=2, unique=True))
def test_every_random_bit_counts(unix_ms: int, pair: list[int]) -> None:
    made = {identifier.make("act", unix_ms, randomness) for randomness in pair}
    assert len(made) == 2

from hypothesis import given
from hypothesis import strategies as st

from ringfence.stores.body.recent import Recent


def test_what_was_put_lately_is_remembered() -> None:
    recent: Recent[int, int] = Recent(10)
    for number in range(1, 100):
        recent.put(number, -number)
    assert [recent.get(number) for number in range(95, 100)] == [-95, -96, -97, -98, -99]
    assert recent.get(1) is None


def test_what_is_used_stays() -> None:
    recent: Recent[int, str] = Recent(10)
    recent.put(0, "used")
    for number in range(1, 100):
        recent.put(number, "passing")
        assert recent.get(0) == "used"


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 60))))
def test_the_weight_is_bounded(puts: list[tuple[int, int]]) -> None:
    recent: Recent[int, int] = Recent(100, lambda value: value)
    for key, weight in puts:
        recent.put(key, weight)
    kept = {key: value for key in range(21) if (value := recent.get(key)) is not None}
    assert sum(kept.values()) <= 100


def test_what_is_too_heavy_is_never_kept() -> None:
    recent: Recent[str, bytes] = Recent(100, len)
    recent.put("light", b"x" * 50)
    recent.put("heavy", b"x" * 51)
    assert recent.get("heavy") is None
    assert recent.get("light") is not None

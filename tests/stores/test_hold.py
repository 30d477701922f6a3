from pathlib import Path

import pytest

from ringfence.domain.error import UsageError
from ringfence.stores.hold import FileHolds, Hold, is_held, widened


def hold(subject: str) -> Hold:
    return Hold(subject=subject, reason="case 7", actor="user:a", time_us="1")


def test_a_list_that_cannot_be_read_holds_nobody_up_silently(tmp_path: Path) -> None:
    (tmp_path / "holds").mkdir()
    (tmp_path / "holds" / "org_a.json").write_text("[")
    with pytest.raises(UsageError) as caught:
        FileHolds(tmp_path, "org_a").all()
    assert caught.value.code == "store_damaged"


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("organisation", True),
        ("agent:agt_1", True),
        ("agent:agt_2", False),
        ("invocation:inv_2", True),
        ("invocation:inv_1", True),
        ("invocation:inv_3", False),
    ],
)
def test_a_hold_is_about_all_below_it(subject: str, *, expected: bool) -> None:
    held = [hold(subject)]
    assert is_held(held, agent="agt_1", invocation="inv_2", root="inv_1") is expected
    assert not is_held([], agent="agt_1", invocation="inv_2", root="inv_1")


def test_a_held_invocation_holds_what_is_below_it_and_nothing_beside_it() -> None:
    parents = {
        "inv_1": None,
        "inv_2": "inv_1",
        "inv_3": "inv_2",
        "inv_4": "inv_3",
        "inv_5": "inv_1",
    }
    asked: list[str] = []

    def tree_of(invocation: str) -> dict[str, str | None]:
        asked.append(invocation)
        return parents

    held = widened([hold("agent:agt_9"), hold("invocation:inv_2")], tree_of)
    assert asked == ["inv_2"]

    def is_kept(invocation: str) -> bool:
        return is_held(held, agent="agt_1", invocation=invocation, root="inv_1")

    kept = {each for each in parents if is_kept(each)}
    assert kept == {"inv_2", "inv_3", "inv_4"}


def test_a_tree_that_was_written_as_a_ring_is_gone_through_once() -> None:
    ring = {"inv_1": "inv_2", "inv_2": "inv_1"}
    assert len(widened([hold("invocation:inv_1")], lambda _: ring)) == 2

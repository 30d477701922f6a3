from pathlib import Path

import pytest

from ringfence.domain.error import UsageError
from ringfence.stores.hold import Hold, Holds, is_held


def hold(subject: str) -> Hold:
    return Hold(subject=subject, reason="case 7", actor="user:a", time_us="1")


def test_holds_stand_until_they_are_released(tmp_path: Path) -> None:
    holds = Holds(tmp_path, "org_a")
    assert holds.all() == []
    holds.place(hold("organisation"))
    holds.place(hold("agent:agt_1"))
    assert [one.subject for one in Holds(tmp_path, "org_a").all()] == [
        "organisation",
        "agent:agt_1",
    ]
    assert Holds(tmp_path, "org_b").all() == []
    assert holds.release("organisation").reason == "case 7"
    assert [one.subject for one in holds.all()] == ["agent:agt_1"]


@pytest.mark.parametrize("subject", ["", "agent:", "agent", "team:x", "agent:a b"])
def test_what_cannot_be_held_is_refused(subject: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        Holds(tmp_path, "org_a").place(hold(subject))
    assert caught.value.code == "hold_malformed"


def test_a_hold_is_placed_and_released_once(tmp_path: Path) -> None:
    holds = Holds(tmp_path, "org_a")
    holds.place(hold("organisation"))
    with pytest.raises(UsageError, match="already"):
        holds.place(hold("organisation"))
    with pytest.raises(UsageError, match="nothing holds"):
        holds.release("agent:agt_1")


def test_a_list_that_cannot_be_read_holds_nobody_up_silently(tmp_path: Path) -> None:
    (tmp_path / "holds").mkdir()
    (tmp_path / "holds" / "org_a.json").write_text("[")
    with pytest.raises(UsageError) as caught:
        Holds(tmp_path, "org_a").all()
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

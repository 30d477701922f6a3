from pathlib import Path

import pytest

from ringfence.domain.error import UsageError
from ringfence.stores.hold import FileHolds, Hold, is_held


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

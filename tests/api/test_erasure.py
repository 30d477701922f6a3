"""Erasing and holding as people do it is told in `tests/cli/test_verification.py`."""

from contextlib import AbstractContextManager
from dataclasses import replace

import msgspec
import pytest
from tests.api.event import intent
from tests.api.plane import Answer, Plane

from ringfence.api.application import create_app
from ringfence.api.erasure import EraseOrder, HoldOrder
from ringfence.stores.hold import FileHolds, Hold


@pytest.mark.parametrize(
    "body",
    [
        b'{"reason":"x"}',
        b'{"reason":"x","action":"a","user":"b"}',
        b'{"reason":"","action":"a"}',
        b'{"action":"a"}',
    ],
)
def test_an_order_names_one_thing_and_a_reason(body: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body, type=EraseOrder)
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"subject":"organisation","reason":""}', type=HoldOrder)
    assert msgspec.json.decode(b'{"reason":"x","action":"a"}', type=EraseOrder).action == "a"


def held(plane: Plane, subject: str) -> int:
    body = {"subject": subject, "reason": "case 7"}
    return plane.ask("POST", "audit/holds", body=body).status


def erased(plane: Plane, **meant: str) -> Answer:
    return plane.ask("POST", "audit/erase", body={"reason": "asked for", **meant})


@pytest.fixture
def told(plane: Plane) -> Plane:
    """A tree of four: inv_1, below it inv_2 and inv_4, below inv_2 inv_3; two logs."""
    plane.write(
        (intent(plane, "act_1"), b"one"),
        (intent(plane, "act_2", invocation="inv_2", parent="inv_1", root="inv_1"), b"two"),
    )
    plane.write(
        (intent(plane, "act_3", invocation="inv_3", parent="inv_2", root="inv_1"), b"three"),
        (intent(plane, "act_4", invocation="inv_4", parent="inv_1", root="inv_1"), b"four"),
    )
    return plane


def test_a_hold_within_a_tree_covers_what_is_below_it(told: Plane) -> None:
    assert held(told, "invocation:inv_2") == 204
    for meant in ({"action": "act_3"}, {"invocation": "inv_3"}, {"invocation": "inv_1"}):
        assert erased(told, **meant).code == "legal_hold"
    assert erased(told, action="act_4").json() == {"actions": 1, "bodies": 1}
    assert erased(told, action="act_1").json() == {"actions": 1, "bodies": 1}


def test_a_hold_that_is_placed_while_an_erasure_is_prepared_still_holds(told: Plane) -> None:
    """Between looking for what is meant and erasing it."""

    class Late:
        def __init__(self, organisation: str) -> None:
            holds = FileHolds(told.folder, organisation)
            self.all, self.place, self.release = holds.all, holds.place, holds.release
            self._holds = holds

        def still(self) -> AbstractContextManager[None]:
            self.place(Hold(subject="organisation", reason="case", actor="user:a", time_us="1"))
            return self._holds.still()

    late = replace(told.context, holds=Late)
    told.app = create_app(late)
    refused = erased(told, action="act_3")
    assert refused.code == "legal_hold"
    assert [note.what for note in told.notes] == []
    told.app = create_app(told.context)
    assert told.ask("GET", "audit/holds").json()["items"] != []

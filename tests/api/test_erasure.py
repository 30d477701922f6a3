"""Erasing and holding as people do it is told in `tests/cli/test_verification.py`."""

from contextlib import AbstractContextManager
from dataclasses import replace

import msgspec
import pytest
from tests.api.event import command, intent, observation
from tests.api.plane import OWNER, Answer, Plane
from tests.decisions.test_approval import BINDING
from tests.decisions.test_approval import held as call_held

from ringfence.api.application import create_app
from ringfence.api.erasure import EraseOrder, HoldOrder
from ringfence.domain.approval import ApprovalState
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
    assert erased(told, action="act_4").json() == {"actions": 1, "bodies": 1, "held_calls": 0}
    assert erased(told, action="act_1").json() == {"actions": 1, "bodies": 1, "held_calls": 0}


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


@pytest.fixture
def asked(told: Plane) -> Plane:
    """Calls of the tree that were held: one is still open, one was carried out as `act_4`."""
    acme, triage = told.acme, told.acme.agents["triage"].id
    for number, (invocation, user, state) in enumerate(
        [
            ("inv_1", "usr_jane", ApprovalState.DENIED),
            ("inv_3", "", ApprovalState.PENDING),
            ("inv_9", acme.users[OWNER].id, ApprovalState.EXPIRED),
            ("inv_8", "", ApprovalState.CONSUMED),
        ],
        start=1,
    ):
        binding = replace(
            BINDING,
            organisation=acme.id,
            agent=triage,
            chain=(user, triage) if user else (triage,),
            user=user,
            invocation=invocation,
            root="inv_1" if invocation == "inv_3" else invocation,
        )
        made = call_held(id=f"apr_{number}", binding=binding, state=state, expires_us=2**60)
        told.state.approvals.add(made)
    used = intent(told, "act_8", invocation="inv_8")
    used.approval = "apr_4"
    told.write((used, b"eight"))
    return told


def calls_of(plane: Plane) -> list[str]:
    return sorted(each.id for each in plane.state.approvals.every(plane.acme.id))


def test_held_calls_of_a_tree_are_erased_and_what_is_open_is_withdrawn_first(asked: Plane) -> None:
    found = erased(asked, invocation="inv_1").json()
    assert found == {"actions": 4, "bodies": 4, "held_calls": 2}
    assert calls_of(asked) == ["apr_3", "apr_4"]
    assert asked.news == [("approval.withdrawn", "apr_2")]
    assert asked.notes[0].detail["held_calls"] == "2"


def test_held_calls_of_a_user_and_of_an_action_are_erased(asked: Plane) -> None:
    assert erased(asked, user=OWNER).json()["held_calls"] == 1
    assert calls_of(asked) == ["apr_1", "apr_2", "apr_4"]
    assert erased(asked, action="act_8").json() == {"actions": 1, "bodies": 1, "held_calls": 1}
    assert calls_of(asked) == ["apr_1", "apr_2"]


def test_a_held_call_on_legal_hold_is_not_erased_and_then_nothing_is(asked: Plane) -> None:
    holder = asked.context.holds(asked.acme.id)
    # Nothing but the held call itself belongs to this run.
    holder.place(Hold(subject="invocation:inv_9", reason="case", actor="user:a", time_us="1"))
    assert erased(asked, user=OWNER).code == "legal_hold"
    assert calls_of(asked) == ["apr_1", "apr_2", "apr_3", "apr_4"]
    assert asked.notes == []


def test_what_was_kept_of_a_sandbox_goes_with_its_invocation(plane: Plane) -> None:
    plane.write(
        (command(plane, "act_1"), b'{"line":"cat secret"}'),
        (observation(plane, "act_2", "evidence.transcript"), b"$ cat secret\r\ncanary\r\n"),
    )
    assert b"canary" in plane.ask("GET", "traces/inv_1").body
    assert erased(plane, invocation="inv_1").status == 200
    left = plane.ask("GET", "traces/inv_1").body
    assert b"canary" not in left
    assert b"cat secret" not in left
    assert b'"act_2"' in left

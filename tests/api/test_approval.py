import asyncio
from dataclasses import replace

import pytest
from tests.api.plane import OWNER, Plane, organisation
from tests.approvals import taken
from tests.decisions.test_approval import BINDING

from ringfence.domain.approval import Approval, Binding
from ringfence.domain.organisation import Role, User
from ringfence.enforcement.approval import Asking

BOB = "bob@acme.example"


def binding(plane: Plane, user: str = "") -> Binding:
    agent = plane.acme.agents["triage"].id
    return replace(BINDING, organisation=plane.acme.id, agent=agent, user=user, chain=(agent,))


def hold(plane: Plane, *, user: str = "", quorum: int = 1) -> Approval:
    asking = Asking(
        binding=binding(plane, user),
        agent_name="triage",
        reasons=("irreversible",),
        seconds=600,
        quorum=quorum,
    )
    return taken(asyncio.run(plane.approvals.hold(asking))).approval


def with_bob(plane: Plane) -> str:
    plain = organisation()
    bob = User(name=BOB, roles=frozenset({Role.APPROVER}))
    plane.load(replace(plain, users={**plain.users, BOB: bob}))
    return plane.key(Role.APPROVER, user=BOB)


def test_a_held_call_is_shown_with_everything_that_it_is_about(plane: Plane) -> None:
    held = hold(plane)
    [line] = plane.ask("GET", "approvals").json()["items"]
    assert (line["id"], line["state"], line["resource"]) == (held.id, "pending", "crm__refund")
    shown = plane.ask("GET", f"approvals/{held.id}").json()
    assert shown["arguments"] == '{"amount":100}'
    assert shown["owner"] == OWNER
    assert shown["fingerprint"] == held.fingerprint
    assert plane.ask("GET", "approvals/apr_none").code == "approval_unknown"


def test_listings_are_paged_and_by_state(plane: Plane) -> None:
    ids = [hold(plane).id for _ in range(3)]
    page = plane.ask("GET", "approvals?limit=2").json()
    assert [each["id"] for each in page["items"]] == [ids[2], ids[1]]
    rest = plane.ask("GET", f"approvals?after={page['next']}").json()
    assert [each["id"] for each in rest["items"]] == [ids[0]]
    assert plane.ask("GET", "approvals?state=denied").json()["items"] == []


def test_an_answer_is_on_record_before_it_counts(plane: Plane) -> None:
    held = hold(plane)
    plane.is_recording = False
    assert plane.ask("POST", f"approvals/{held.id}/approve", body={}).status == 503
    assert plane.ask("GET", f"approvals/{held.id}").json()["state"] == "pending"
    plane.is_recording = True
    answer = plane.ask("POST", f"approvals/{held.id}/approve", body={"comment": "fine"}).json()
    assert (answer["state"], answer["votes"][0]["comment"]) == ("approved", "fine")
    [note] = plane.notes
    assert (note.what, note.subject, note.invocation) == ("approval.vote", held.id, "inv_1")
    assert note.detail["fingerprint"] == held.fingerprint


def test_two_approvers_make_a_quorum_and_one_alone_does_not(plane: Plane) -> None:
    key = with_bob(plane)
    held = hold(plane, quorum=2)
    path = f"approvals/{held.id}/approve"
    assert plane.ask("POST", path, body={}, key=key).json()["state"] == "pending"
    assert plane.ask("POST", path, body={}, key=key).code == "approval_again"
    assert plane.ask("POST", path, body={}).code == "approval_nameless"
    owner = plane.key(Role.APPROVER)
    assert plane.ask("POST", path, body={}, key=owner).json()["state"] == "approved"


def test_nobody_approves_what_is_done_for_himself(plane: Plane) -> None:
    key = with_bob(plane)
    held = hold(plane, user=plane.acme.users[BOB].id)
    refused = plane.ask("POST", f"approvals/{held.id}/approve", body={}, key=key)
    assert (refused.status, refused.code) == (403, "approval_own")


@pytest.mark.parametrize("role", [Role.VIEWER, Role.BUILDER, Role.AUDITOR])
def test_only_approvers_answer(plane: Plane, role: Role) -> None:
    held, key = hold(plane), plane.key(role)
    for verb in ("approve", "deny"):
        assert plane.ask("POST", f"approvals/{held.id}/{verb}", body={}, key=key).status == 403
    status = plane.ask("GET", f"approvals/{held.id}", key=key).status
    assert status == (200 if role is Role.AUDITOR else 403)


def test_what_was_shown_is_what_is_approved(plane: Plane) -> None:
    held = hold(plane)
    path = f"approvals/{held.id}/approve"
    stale = plane.ask("POST", path, body={"fingerprint": "sha256:other"})
    assert (stale.status, stale.code) == (409, "approval_changed")
    right = plane.ask("POST", path, body={"fingerprint": held.fingerprint})
    assert right.json()["state"] == "approved"


def test_a_denied_call_stays_denied(plane: Plane) -> None:
    held = hold(plane)
    denied = plane.ask("POST", f"approvals/{held.id}/deny", body={"comment": "never"}).json()
    assert denied["state"] == "denied"
    refused = plane.ask("POST", f"approvals/{held.id}/approve", body={})
    assert (refused.status, refused.code) == (409, "approval_over")


def test_a_suspended_agent_has_no_held_calls_left(plane: Plane) -> None:
    held = hold(plane)
    assert plane.ask("POST", "agents/triage/suspend", body={}).status == 200
    assert plane.ask("GET", f"approvals/{held.id}").json()["state"] == "withdrawn"

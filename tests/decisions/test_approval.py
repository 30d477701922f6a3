from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.decisions import approval as rule
from ringfence.decisions.approval import TABLE, ApprovalEvent, Objection, Waiting
from ringfence.domain.action import ActionKind
from ringfence.domain.approval import Approval, ApprovalState, Binding, Vote
from ringfence.domain.verdict import Code, Deny

BINDING = Binding(
    organisation="org_1",
    chain=("user_u", "agt_1"),
    agent="agt_1",
    user="user_u",
    invocation="inv_1",
    root="inv_1",
    action=ActionKind.TOOL_CALL,
    resource="crm__refund",
    arguments=b'{"amount":100}',
    policies="sha256:p",
    pin="sha256:t",
)
SECOND_US = 1_000_000
HOUR_US = 3600 * SECOND_US
EVERYBODY = frozenset({"user:ann", "user:bob", "user:user_u"})


def held(**changes: object) -> Approval:
    plain = Approval(
        id="apr_1",
        binding=BINDING,
        fingerprint=rule.fingerprint(BINDING),
        agent_name="triage",
        reasons=("irreversible",),
        created_us=0,
        expires_us=HOUR_US,
    )
    return replace(plain, **changes)  # type: ignore[arg-type] # a test names the fields it sets


def yes(user: str, at_us: int = 1) -> Vote:
    return Vote(user=f"user:{user}", approves=True, at_us=at_us)


def approved(by: str = "ann", **changes: object) -> Approval:
    voted = rule.vote(held(**changes), yes(by), by)
    assert isinstance(voted, Approval)
    return voted


def refusal(found: Approval, binding: Binding = BINDING, now_us: int = 2) -> Code:
    used = rule.consume(found, binding, "act_1", EVERYBODY, now_us)
    assert isinstance(used, Deny)
    assert used.reason.message.startswith("Ringfence did not let `crm__refund` be called: ")
    return used.reason.code


def test_an_approved_call_is_used_once_by_one_action() -> None:
    used = rule.consume(approved(), BINDING, "act_1", EVERYBODY, 2)
    assert isinstance(used, Approval)
    assert (used.state, used.action) == (ApprovalState.CONSUMED, "act_1")
    assert refusal(used) is Code.APPROVAL_MISMATCH


@pytest.mark.parametrize(
    "change",
    [
        {"arguments": b'{"amount":1000}'},
        {"arguments": b'{"amount": 100}'},
        {"resource": "crm__delete"},
        {"invocation": "inv_2"},
        {"agent": "agt_2"},
        {"chain": ("agt_1",)},
        {"user": "other"},
        {"organisation": "org_2"},
        {"policies": "sha256:q"},
        {"pin": "sha256:u"},
        {"action": ActionKind.HTTP_REQUEST},
    ],
    ids=str,
)
def test_an_approval_is_good_for_nothing_else(change: dict[str, object]) -> None:
    other = replace(BINDING, **change)  # type: ignore[arg-type] # likewise
    assert refusal(approved(), other) is Code.APPROVAL_MISMATCH


@given(st.lists(st.text(max_size=4), min_size=2, max_size=2), st.binary(max_size=8))
def test_parts_of_a_binding_cannot_run_into_each_other(names: list[str], data: bytes) -> None:
    one = replace(BINDING, invocation=names[0], root=names[1], arguments=data)
    other = replace(BINDING, invocation=names[0] + names[1], root="", arguments=data)
    assert (rule.fingerprint(one) == rule.fingerprint(other)) == (one == other)


def test_the_user_whom_an_agent_acts_for_does_not_approve_it() -> None:
    assert rule.vote(held(), yes("user_u"), "user_u") is Objection.REQUESTER
    above = held(binding=replace(BINDING, user=""))
    assert rule.vote(above, yes("user_u"), "user_u") is Objection.REQUESTER


def test_the_user_whom_an_agent_acts_for_may_deny_it() -> None:
    denied = rule.vote(held(), replace(yes("user_u"), approves=False, comment="no!"), "user_u")
    assert isinstance(denied, Approval)
    assert denied.state is ApprovalState.DENIED
    assert refusal(denied) is Code.APPROVAL_DENIED
    assert "said: no!" in rule.unusable(denied).reason.message


def test_one_person_is_one_vote_of_a_quorum() -> None:
    first = approved(quorum=2)
    assert first.state is ApprovalState.PENDING
    assert refusal(first) is Code.APPROVAL_PENDING
    assert rule.vote(first, yes("ann"), "ann") is Objection.AGAIN
    second = rule.vote(first, yes("bob"), "bob")
    assert isinstance(second, Approval)
    assert second.state is ApprovalState.APPROVED


def test_one_denial_outweighs_any_quorum() -> None:
    denied = rule.vote(approved(quorum=2), replace(yes("bob"), approves=False), "bob")
    assert isinstance(denied, Approval)
    assert denied.state is ApprovalState.DENIED


def test_a_vote_of_somebody_who_lost_the_role_does_not_count() -> None:
    gone = rule.consume(approved(), BINDING, "act_1", frozenset({"user:bob"}), 2)
    assert isinstance(gone, Deny)
    assert gone.reason.code is Code.APPROVAL_MISMATCH


@pytest.mark.parametrize("operator", ["cli", "cli:uid=0", "cli:uid=1000"])
def test_an_operator_and_a_user_are_not_two_people_of_a_quorum(operator: str) -> None:
    ballot = Vote(user=operator, approves=True, at_us=1)
    for before in (held(quorum=2), approved(quorum=2)):
        assert rule.vote(before, ballot, "") is Objection.NAMELESS
    # Nor does what an older release let him vote count.
    mixed = (yes("ann"), ballot)
    kept = held(quorum=2, votes=mixed, state=ApprovalState.APPROVED)
    assert refusal(kept) is Code.APPROVAL_MISMATCH


def test_an_operator_may_deny_whatever_the_quorum() -> None:
    denied = rule.vote(held(quorum=3), Vote(user="cli:uid=0", approves=False, at_us=1), "")
    assert isinstance(denied, Approval)
    assert denied.state is ApprovalState.DENIED


def test_the_operator_needs_no_role() -> None:
    ballot = Vote(user="cli:uid=0", approves=True, at_us=1)
    voted = rule.vote(held(), ballot, "")
    assert isinstance(voted, Approval)
    assert isinstance(rule.consume(voted, BINDING, "act_1", frozenset(), 2), Approval)


def test_nobody_answers_after_the_time_is_over() -> None:
    assert rule.vote(held(), yes("ann", HOUR_US), "ann") is Objection.OVER
    assert refusal(held(), now_us=HOUR_US) is Code.APPROVAL_EXPIRED


def test_what_was_approved_late_can_still_be_used_for_a_while() -> None:
    late = rule.vote(held(), yes("ann", HOUR_US - 1), "ann")
    assert isinstance(late, Approval)
    assert not rule.is_over(late, HOUR_US + rule.KEPT_AFTER_US - 2)
    assert refusal(late, now_us=HOUR_US + rule.KEPT_AFTER_US) is Code.APPROVAL_EXPIRED


def test_an_approval_can_be_taken_back_until_it_is_used() -> None:
    back = rule.vote(approved(), replace(yes("bob"), approves=False), "bob")
    assert isinstance(back, Approval)
    assert back.state is ApprovalState.DENIED
    used = rule.consume(approved(), BINDING, "act_1", EVERYBODY, 2)
    assert isinstance(used, Approval)
    assert rule.vote(used, replace(yes("bob"), approves=False), "bob") is Objection.OVER


def test_somebody_else_is_asked_after_half_of_the_time() -> None:
    waiting = held(escalate_to="oncall@acme.example")
    assert not rule.is_due(waiting, HOUR_US // 2 - 1)
    assert rule.is_due(waiting, HOUR_US // 2)
    assert not rule.is_due(replace(waiting, escalated_us=1), HOUR_US // 2)
    assert not rule.is_due(held(), HOUR_US // 2)
    assert not rule.is_due(waiting, HOUR_US)


def test_nothing_leads_out_of_an_end() -> None:
    ends = frozenset(ApprovalState) - rule.OPEN
    for state, event in product(ends, ApprovalEvent):
        assert rule.advance(held(state=state), event) is None
    assert {state for state, _ in TABLE} == rule.OPEN


@pytest.mark.parametrize("state", sorted(frozenset(ApprovalState) - {ApprovalState.APPROVED}))
def test_only_an_approved_call_can_be_used(state: ApprovalState) -> None:
    assert isinstance(rule.consume(held(state=state), BINDING, "act_1", EVERYBODY, 2), Deny)


@pytest.mark.parametrize(
    ("whose", "most"),
    [
        ("run", rule.OPEN_OF_RUN),
        ("agent", rule.OPEN_OF_AGENT),
        ("organisation", rule.OPEN_OF_ORGANISATION),
    ],
)
def test_people_are_not_flooded_with_the_calls_of_one(whose: str, most: int) -> None:
    field = f"of_{whose}"
    assert rule.unholdable(BINDING, replace(Waiting(), **{field: most - 1})) is None
    full = rule.unholdable(BINDING, replace(Waiting(), **{field: most}))
    assert full is not None
    assert (full.code, dict(full.facts)["waiting_of"]) == (Code.RATE_EXCEEDED, whose)


def test_nobody_is_asked_to_judge_arguments_that_nobody_can_read() -> None:
    large = replace(BINDING, arguments=b"x" * rule.ARGUMENTS_BYTES)
    assert rule.unholdable(large, Waiting()) is None
    refused_ = rule.unholdable(replace(large, arguments=large.arguments + b"x"), Waiting())
    assert refused_ is not None
    assert refused_.code is Code.ARGUMENTS_INVALID


def test_an_approval_counts_only_for_doubts_that_were_shown() -> None:
    found = approved(reasons=("irreversible", "after `a`: it is not so"))
    assert rule.unseen(found, ("after `a`: it is not so",)) is None
    fresh = rule.unseen(found, ("after `a`: it is not so", "after `b`: nor this"))
    assert fresh is not None
    assert fresh.reason.code is Code.APPROVAL_MISMATCH
    assert "after `b`: nor this" in fresh.reason.message

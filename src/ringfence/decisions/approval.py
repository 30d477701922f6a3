"""Approvals: who may say yes to a held call, for how long it counts, and that it counts once.

A held call has the life in `TABLE`. Whatever is not in the table does not happen.
"""

import hashlib
from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from enum import StrEnum

import msgspec

from ringfence.domain.approval import Approval, ApprovalState, Binding, Vote
from ringfence.domain.verdict import Code, Deny, Reason

LONGEST_S = 7 * 24 * 3600
"""How long a call may be held at most: what was asked a week ago is no longer what is wanted."""
KEPT_AFTER_US = 600_000_000
"""How long an approval can still be used after it was given: a client that asks again, asks within
minutes, and what lies about for longer is approved in another situation."""
OPEN_OF_RUN = 20
"""How many calls of one run may wait for people at once, with the runs below it."""
OPEN_OF_AGENT = 100
"""How many calls of one agent may: what asks more is not answered with care by anybody."""
OPEN_OF_ORGANISATION = 1_000
"""How many calls of one organisation may, whatever agents and planes it has."""
ARGUMENTS_BYTES = 256 * 1024
"""How large the arguments may be that a person is to judge."""
OPERATOR = "cli"
"""How the name of somebody begins who answers on the plane's own machine, as its operator."""


class ApprovalEvent(StrEnum):
    """What can happen to a held call."""

    APPROVE = "approve"
    """The last vote that was needed."""
    VOTE = "vote"
    """A vote for it, but more are needed."""
    DENY = "deny"
    EXPIRE = "expire"
    WITHDRAW = "withdraw"
    CONSUME = "consume"


TABLE: Mapping[tuple[ApprovalState, ApprovalEvent], ApprovalState] = {
    (ApprovalState.PENDING, ApprovalEvent.VOTE): ApprovalState.PENDING,
    (ApprovalState.PENDING, ApprovalEvent.APPROVE): ApprovalState.APPROVED,
    (ApprovalState.PENDING, ApprovalEvent.DENY): ApprovalState.DENIED,
    (ApprovalState.PENDING, ApprovalEvent.EXPIRE): ApprovalState.EXPIRED,
    (ApprovalState.PENDING, ApprovalEvent.WITHDRAW): ApprovalState.WITHDRAWN,
    (ApprovalState.APPROVED, ApprovalEvent.DENY): ApprovalState.DENIED,
    (ApprovalState.APPROVED, ApprovalEvent.EXPIRE): ApprovalState.EXPIRED,
    (ApprovalState.APPROVED, ApprovalEvent.WITHDRAW): ApprovalState.WITHDRAWN,
    (ApprovalState.APPROVED, ApprovalEvent.CONSUME): ApprovalState.CONSUMED,
}
"""Somebody who may approve may also take an approval back, until it has been used."""

OPEN = frozenset({ApprovalState.PENDING, ApprovalState.APPROVED})
"""States out of which something can still become of a call."""


class Objection(StrEnum):
    """Why a vote does not count."""

    OVER = "approval_over"
    """The call was decided, has expired or was withdrawn."""
    REQUESTER = "approval_own"
    """Nobody approves what is done for himself."""
    AGAIN = "approval_again"
    """One person is one vote."""
    NAMELESS = "approval_nameless"
    """Several people are needed, and an operator cannot be told apart from the users."""


def fingerprint(binding: Binding) -> str:
    """`sha256:…` over everything that an approval is bound to; no two bindings share one.

    Source: JSON of the parts in a fixed order, so that no part can run into the next.
    """
    parts = (
        binding.organisation,
        binding.chain,
        binding.agent,
        binding.user,
        binding.invocation,
        binding.root,
        binding.action.value,
        binding.resource,
        hashlib.sha256(binding.arguments).hexdigest(),
        binding.policies,
        binding.pin,
    )
    return f"sha256:{hashlib.sha256(msgspec.json.encode(parts)).hexdigest()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """How many calls wait for people already, wherever in the installation they were held."""

    of_run: int = 0
    """Of the same run, with the runs below it."""
    of_agent: int = 0
    of_organisation: int = 0


def unholdable(binding: Binding, waiting: Waiting) -> Reason | None:
    """Why a call is not put before people.

    INVARIANT: an agent cannot flood the people who answer, nor the place where calls wait.
    """
    size = len(binding.arguments)
    if size > ARGUMENTS_BYTES:
        return Reason(
            code=Code.ARGUMENTS_INVALID,
            message=f"Ringfence did not let `{binding.resource}` be called: a person must approve "
            f"it, and nobody can judge {size} bytes of arguments. Send at most {ARGUMENTS_BYTES}.",
            facts=(("bytes", str(size)), ("limit", str(ARGUMENTS_BYTES))),
        )
    bounds = (
        ("run", waiting.of_run, OPEN_OF_RUN),
        ("agent", waiting.of_agent, OPEN_OF_AGENT),
        ("organisation", waiting.of_organisation, OPEN_OF_ORGANISATION),
    )
    reached = next(((whose, most) for whose, count, most in bounds if count >= most), None)
    if reached is None:
        return None
    whose, most = reached
    return Reason(
        code=Code.RATE_EXCEEDED,
        message=f"Ringfence did not let `{binding.resource}` be called: a person must approve it, "
        f"and {most} calls of this {whose} wait for people already. Go on with something else "
        "until they are answered.",
        facts=(("waiting_of", whose), ("limit", str(most))),
    )


def is_over(approval: Approval, now_us: int) -> bool:
    """Whether the time of a call that is still open has run out."""
    return approval.state in OPEN and now_us >= approval.expires_us


def is_due(approval: Approval, now_us: int) -> bool:
    """Whether somebody else must be asked now: half of its time is over and nobody has answered."""
    is_waiting = approval.state is ApprovalState.PENDING and not approval.votes
    half_us = (approval.created_us + approval.expires_us) // 2
    has_next = bool(approval.escalate_to) and approval.escalated_us is None
    return is_waiting and has_next and half_us <= now_us < approval.expires_us


def advance(approval: Approval, event: ApprovalEvent) -> Approval | None:
    """The call after an event; None if that cannot happen to it."""
    state = TABLE.get((approval.state, event))
    return None if state is None else replace(approval, state=state)


def vote(approval: Approval, ballot: Vote, voter: str) -> Approval | Objection:
    """The call after somebody's vote.

    `voter` is the id of the user who votes, empty for the operator. One denial is enough.
    """
    if ballot.approves:
        return _objection(approval, ballot, voter) or _approve(approval, ballot)
    denied = None if is_over(approval, ballot.at_us) else advance(approval, ApprovalEvent.DENY)
    return Objection.OVER if denied is None else _with(denied, ballot)


def _objection(approval: Approval, ballot: Vote, voter: str) -> Objection | None:
    """INVARIANT (design note 026): nobody for whom an agent acts approves what it does."""
    if approval.state is not ApprovalState.PENDING or is_over(approval, ballot.at_us):
        return Objection.OVER
    if voter and voter in {approval.binding.user, *approval.binding.chain}:
        return Objection.REQUESTER
    if any(each.user == ballot.user for each in approval.votes):
        return Objection.AGAIN
    return Objection.NAMELESS if _is_operator(ballot) and approval.quorum > 1 else None


def _approve(approval: Approval, ballot: Vote) -> Approval:
    voted = _with(approval, ballot)
    if sum(each.approves for each in voted.votes) < voted.quorum:
        return voted
    usable_us = max(voted.expires_us, ballot.at_us + KEPT_AFTER_US)
    return replace(voted, state=ApprovalState.APPROVED, expires_us=usable_us)


def consume(
    approval: Approval, binding: Binding, action: str, approvers: AbstractSet[str], now_us: int
) -> Approval | Deny:
    """Use an approval for the action that was approved, once.

    `approvers` are the users who may approve now: a vote of somebody who lost the role is none.
    A `Deny` leaves the approval as it was, except that one which has lost its votes is of no use.
    """
    if is_over(approval, now_us):
        return _refused(Code.APPROVAL_EXPIRED, approval, "its time is over")
    if approval.state is not ApprovalState.APPROVED:
        return unusable(approval)
    other = differs(approval, binding)
    if other is not None:
        return other
    if len(standing(approval, approvers)) < approval.quorum:
        return _refused(
            Code.APPROVAL_MISMATCH, approval, "whoever approved it may not approve any more"
        )
    return replace(approval, state=ApprovalState.CONSUMED, action=action)


def differs(approval: Approval, binding: Binding) -> Deny | None:
    """Why an approval is not for this call; None if it is for exactly this one."""
    if fingerprint(binding) == approval.fingerprint:
        return None
    return _refused(
        Code.APPROVAL_MISMATCH,
        approval,
        "this is not exactly the call that was approved: the arguments, the run, the tool or "
        "the policies differ",
    )


def unseen(approval: Approval, doubts: Collection[str]) -> Deny | None:
    """Why an approval does not count: there are doubts that were not shown to who gave it."""
    fresh = [each for each in doubts if each not in approval.reasons]
    if not fresh:
        return None
    words = f"nobody who approved it knew this: {'; '.join(fresh)}"
    return _refused(Code.APPROVAL_MISMATCH, approval, words)


def standing(approval: Approval, approvers: AbstractSet[str]) -> tuple[Vote, ...]:
    """The votes for it that count now.

    INVARIANT: a quorum is of different people. An operator is nobody by name and may be one of the
    users as well, so his vote is enough alone and counts for nothing among several.
    """
    return tuple(
        each
        for each in approval.votes
        if each.approves
        and (each.user in approvers or (_is_operator(each) and approval.quorum == 1))
    )


def unusable(approval: Approval) -> Deny:
    """What an agent is told whose held call may not go on, or not yet."""
    match approval.state:
        case ApprovalState.PENDING | ApprovalState.APPROVED:
            return _refused(Code.APPROVAL_PENDING, approval, _PENDING)
        case ApprovalState.DENIED:
            said = next((each.comment for each in approval.votes if not each.approves), "")
            words = f"a person denied it and said: {said}" if said else "a person denied it"
            final = f"{words}. Do not try it again in other words"
            return _refused(Code.APPROVAL_DENIED, approval, final)
        case ApprovalState.EXPIRED:
            return _refused(Code.APPROVAL_EXPIRED, approval, "nobody answered in time")
        case ApprovalState.WITHDRAWN:
            return _refused(Code.APPROVAL_MISMATCH, approval, "what it rested on has changed")
        case ApprovalState.CONSUMED:
            return _refused(Code.APPROVAL_MISMATCH, approval, "it has been used already")


_PENDING = (
    "a person must approve it first and has not answered yet. Go on with something else, or make "
    "exactly the same call again later"
)


def _is_operator(ballot: Vote) -> bool:
    """Whether somebody votes on the plane's own machine, without a key of a user."""
    return ballot.user == OPERATOR or ballot.user.startswith(f"{OPERATOR}:")


def _with(approval: Approval, ballot: Vote) -> Approval:
    return replace(approval, votes=(*approval.votes, ballot))


def _refused(code: Code, approval: Approval, words: str) -> Deny:
    facts = (("approval", approval.id), ("state", approval.state.value))
    message = f"Ringfence did not let `{approval.binding.resource}` be called: {words}."
    return Deny(reason=Reason(code=code, message=message, facts=facts))

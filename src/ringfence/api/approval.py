"""Routes about approvals: what waits for a person, and the person's answer."""

import asyncio
from functools import partial
from typing import Annotated

import msgspec

from ringfence.api.context import ChangeNote
from ringfence.api.route import AnyRoute, Call, Nothing, Page, PageSize, Route
from ringfence.decisions.approval import Objection
from ringfence.domain.approval import Approval, ApprovalState, Vote
from ringfence.domain.error import UsageError
from ringfence.domain.organisation import Role

APPROVER = frozenset({Role.APPROVER})
READER = frozenset({Role.APPROVER, Role.AUDITOR})
"""Arguments can hold anything: who neither approves nor audits does not see them."""

_COMMENT_LIMIT = 2000


class ApprovalsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Those in one state, newest first; `after` is the id of the last one seen."""

    state: ApprovalState | None = None
    limit: PageSize = 100
    after: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person says to a held call.

    For `ask_user` and `escalate` the comment is the answer that the agent gets. `fingerprint`, if
    given, is that of what the person was shown: anything else is not approved.
    """

    comment: Annotated[str, msgspec.Meta(max_length=_COMMENT_LIMIT)] = ""
    fingerprint: str = ""


class VoteLine(msgspec.Struct, frozen=True, kw_only=True):
    """One person's answer."""

    user: str
    approves: bool
    at_us: str
    comment: str
    surface: str


class ApprovalLine(msgspec.Struct, frozen=True, kw_only=True):
    """A held call as a listing shows it."""

    id: str
    state: ApprovalState
    agent_name: str
    resource: str
    reasons: list[str]
    created_us: str
    expires_us: str
    votes: int
    quorum: int


class ApprovalView(msgspec.Struct, frozen=True, kw_only=True):
    """A held call as the person sees it who decides: everything that the approval is bound to.

    `arguments` is the text of the exact bytes that would be dispatched.
    """

    id: str
    state: ApprovalState
    agent: str
    agent_name: str
    owner: str
    purpose: str
    chain: list[str]
    user: str
    invocation: str
    root: str
    action_kind: str
    resource: str
    arguments: str
    reasons: list[str]
    policies: str
    pin: str
    fingerprint: str
    created_us: str
    expires_us: str
    escalate_to: str
    escalated_us: str | None
    quorum: int
    votes: list[VoteLine]
    action: str


async def list_approvals(call: Call[ApprovalsQuery, Nothing]) -> Page[ApprovalLine]:
    """Held calls, the newest first."""
    query = call.query
    read = partial(
        call.context.state.approvals.list,
        call.organisation.id,
        states=None if query.state is None else frozenset({query.state}),
        before=query.after,
        limit=query.limit + 1,
    )
    found = await asyncio.to_thread(read)
    shown = found[: query.limit]
    return Page(
        items=[_line(each) for each in shown],
        next=shown[-1].id if len(found) > len(shown) else None,
    )


async def show(call: Call[Nothing, Nothing]) -> ApprovalView:
    """One held call with everything that it is about."""
    return _view(call, await _find(call))


async def approve(call: Call[Nothing, Answer]) -> ApprovalView:
    """Say yes; the call goes on when enough people have."""
    return await _vote(call, approves=True)


async def deny(call: Call[Nothing, Answer]) -> ApprovalView:
    """Say no, which is final. An approval that was not used yet can be taken back so."""
    return await _vote(call, approves=False)


async def _vote(call: Call[Nothing, Answer], *, approves: bool) -> ApprovalView:
    found, person, context = await _find(call), call.person, call.context
    shown = call.body.fingerprint
    if shown and shown != found.fingerprint:
        raise UsageError(
            "approval_changed",
            "what you were shown is not what this approval is for",
            help=f"look again: `ringfence approval show {found.id}`",
        )
    ballot = Vote(
        user=person.actor,
        approves=approves,
        at_us=context.clock.now_us(),
        comment=call.body.comment,
        surface="cli" if person.user is None else "api",
    )
    # What gives power is recorded before it is given.
    await context.record(_note(call, found, ballot))
    decided = await context.approvals.decide(call.organisation.id, found.id, ballot)
    if isinstance(decided, Objection):
        raise _objected(decided, found)
    return _view(call, decided)


async def _find(call: Call[Nothing, Nothing] | Call[Nothing, Answer]) -> Approval:
    found = await call.context.approvals.find(call.organisation.id, call.path["id"])
    if found is None:
        raise UsageError(
            "approval_unknown",
            f"no approval with id `{call.path['id']}`",
            help="`ringfence approval list` shows them",
        )
    return found


def _objected(objection: Objection, approval: Approval) -> UsageError:
    words = {
        Objection.OVER: f"this call is {approval.state.value}: nothing can be said to it any more",
        Objection.REQUESTER: "the agent acts for you: somebody else must approve this",
        Objection.AGAIN: "you have approved this already; it needs somebody else too",
        Objection.NAMELESS: f"{approval.quorum} different people must approve this, each with a "
        "user key of his own: the operator of this machine may be one of them",
    }
    return UsageError(objection.value, words[objection])


def _note(call: Call[Nothing, Answer], approval: Approval, ballot: Vote) -> ChangeNote:
    return ChangeNote(
        organisation=call.organisation.id,
        actor=call.person.actor,
        what="approval.vote",
        subject=approval.id,
        detail={
            "approves": "yes" if ballot.approves else "no",
            "resource": approval.binding.resource,
            "fingerprint": approval.fingerprint,
            "surface": ballot.surface,
            "comment": ballot.comment,
        },
        invocation=approval.binding.invocation,
        root=approval.binding.root,
    )


def _line(approval: Approval) -> ApprovalLine:
    return ApprovalLine(
        id=approval.id,
        state=approval.state,
        agent_name=approval.agent_name,
        resource=approval.binding.resource,
        reasons=list(approval.reasons),
        created_us=str(approval.created_us),
        expires_us=str(approval.expires_us),
        votes=sum(each.approves for each in approval.votes),
        quorum=approval.quorum,
    )


def _view(call: Call[Nothing, Nothing] | Call[Nothing, Answer], approval: Approval) -> ApprovalView:
    binding = approval.binding
    agent = call.organisation.agents.get(approval.agent_name)
    return ApprovalView(
        id=approval.id,
        state=approval.state,
        agent=binding.agent,
        agent_name=approval.agent_name,
        owner=agent.owner if agent is not None else "",
        purpose=agent.purpose if agent is not None else "",
        chain=list(binding.chain),
        user=binding.user,
        invocation=binding.invocation,
        root=binding.root,
        action_kind=binding.action.value,
        resource=binding.resource,
        arguments=binding.arguments.decode("utf-8", "backslashreplace"),
        reasons=list(approval.reasons),
        policies=binding.policies,
        pin=binding.pin,
        fingerprint=approval.fingerprint,
        created_us=str(approval.created_us),
        expires_us=str(approval.expires_us),
        escalate_to=approval.escalate_to,
        escalated_us=None if approval.escalated_us is None else str(approval.escalated_us),
        quorum=approval.quorum,
        votes=[
            VoteLine(
                user=each.user,
                approves=each.approves,
                at_us=str(each.at_us),
                comment=each.comment,
                surface=each.surface,
            )
            for each in approval.votes
        ],
        action=approval.action,
    )


ROUTES: tuple[AnyRoute, ...] = (
    Route(
        method="GET",
        path="/approvals",
        summary="List held calls, newest first.",
        roles=READER,
        query=ApprovalsQuery,
        body=Nothing,
        answer=Page[ApprovalLine],
        handler=list_approvals,
    ),
    Route(
        method="GET",
        path="/approvals/{id}",
        summary="Show a held call: exactly what would be done, for whom, and why it is held.",
        roles=READER,
        query=Nothing,
        body=Nothing,
        answer=ApprovalView,
        handler=show,
    ),
    Route(
        method="POST",
        path="/approvals/{id}/approve",
        summary="Approve a held call, once and for exactly what it says.",
        roles=APPROVER,
        query=Nothing,
        body=Answer,
        answer=ApprovalView,
        handler=approve,
    ),
    Route(
        method="POST",
        path="/approvals/{id}/deny",
        summary="Deny a held call, or take back an approval that was not used yet.",
        roles=APPROVER,
        query=Nothing,
        body=Answer,
        answer=ApprovalView,
        handler=deny,
    ),
)

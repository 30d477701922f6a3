"""What calls of every kind share that a person may have to approve: held, begun again, used up."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from ringfence.decisions import approval as rule
from ringfence.decisions import reason
from ringfence.decisions.reservation import Reservation
from ringfence.domain.action import ActionKind
from ringfence.domain.approval import Approval, Binding
from ringfence.domain.error import UnavailableError
from ringfence.domain.event import Decision, Hold, Intent
from ringfence.domain.policy import PolicyDecision
from ringfence.domain.verdict import Code, Deny, Reason
from ringfence.enforcement.action_path import ActionPath, Knock, PathParts
from ringfence.enforcement.approval import Approvals, Asking
from ringfence.enforcement.form import account_lines, copied, forms_of
from ringfence.enforcement.lack import Lack, Lacking
from ringfence.enforcement.live import LiveInvocation, Refusable, state_reason
from ringfence.enforcement.policy import facts_of
from ringfence.enforcement.record import heading
from ringfence.enforcement.refusal import RefusedAction
from ringfence.enforcement.ticket import ActionTicket
from ringfence.stores.body import Body


class HeldKnock(Knock, frozen=True, kw_only=True):
    """One call of a kind that may be held."""

    approval: str = ""
    """Id of the approval that this call rests on."""
    consumed: str = ""
    """The action for which that approval has been used up; set by `supply` alone."""
    used: Approval | None = None
    """That approval; likewise."""
    answer: str = ""
    """What the person said who approved it; likewise."""
    within: str = ""
    """The invocation in which it was held, if it goes on from there."""


class Holdable(msgspec.Struct, frozen=True, kw_only=True):
    """A call that a person must approve, and nothing else forbids; `HoldingPath.hold` holds it."""

    asking: Asking
    live: LiveInvocation
    decision: PolicyDecision

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why a person is asked."""
        return self.asking.reasons


class LackingApproval(Lacking, frozen=True, kw_only=True):
    """The use of an approval, for exactly this call."""

    approval: str
    binding: Binding
    live: LiveInvocation


HK = TypeVar("HK", bound=HeldKnock)
T = TypeVar("T", bound=ActionTicket)


class HoldingPath(ActionPath[HK, T | Holdable]):
    """A path whose calls may have to wait for a person.

    Such a call becomes a `Holdable`. With the id of its approval it begins again: everything is
    decided anew, and only then is the approval used up, by `supply`.
    """

    def __init__(self, parts: PathParts, approvals: Approvals | None) -> None:
        """Without `approvals` nobody can be asked, which denies."""
        super().__init__(parts)
        self._approvals = approvals

    def decide(self, knock: HK) -> T | Holdable | RefusedAction | Lacking:
        """Admit, decide, reserve and write the intent; never waits, may raise."""
        now_us = self._clock.now_us()
        not_active = state_reason(knock.caller.runtime)
        if not_active is not None:
            return self.turn_away(knock, Deny(reason=not_active), None)
        live = self.joined(knock, now_us)
        if isinstance(live, LiveInvocation):
            return self.decide_in(knock, live, now_us)
        if isinstance(live, Refusable):
            return self.turn_away(knock, live.verdict, live.live)
        return live

    @abstractmethod
    def decide_in(
        self, knock: HK, live: LiveInvocation, now_us: int
    ) -> T | Holdable | RefusedAction | Lacking:
        """The same, in the invocation that the call belongs to; a person is asked last."""

    def next_intent(
        self, knock: HK, live: LiveInvocation, reserved: Reservation, now_us: int
    ) -> Intent:
        """The next step of an invocation, but for what its kind has to say of it."""
        live.steps += 1
        intent = copied(forms_of(knock.caller, live, self._directory).intent)
        intent.time_us = str(now_us)
        intent.action = knock.consumed or self._ids.make("act")
        intent.opens = not live.is_recorded
        intent.step = live.steps
        intent.accounts = account_lines(reserved, live.account_names)
        intent.client = knock.client
        return intent

    def joined(self, knock: HK, now_us: int) -> LiveInvocation | Refusable | Lacking:
        """The invocation that a call belongs to.

        One that goes on after it was held belongs where it was held, however long that took: what
        groups calls by time would put it elsewhere, and an approval holds for one run alone.
        """
        if knock.within:
            return self._invocations.rejoin(knock.caller, knock.within, now_us)
        return self._invocations.join_tool(knock.caller, knock.hints, now_us)

    async def hold(self, knock: HK, held: Holdable) -> Approval | RefusedAction:
        """Hold a call for a person; it is on record before this returns."""
        live = held.live
        if self._approvals is None:
            return self.turn_away(knock, Deny(reason=self._nobody(knock)), live)
        try:
            found = await self._approvals.hold(held.asking)
            if isinstance(found, Deny):
                return self.turn_away(knock, found, live)
            if found.is_new:
                if not live.is_recorded:
                    self._invocations.record_opening(live)
                shown = Body(held.asking.binding.arguments)
                self._ledger.record(self._held(knock, held, found.approval), shown)
                await self._ledger.flush()
        except UnavailableError as error:
            return self.turn_away(knock, Deny(reason=unheld(error)), live)
        return found.approval

    async def supplied(self, knock: HK, lacking: Lacking) -> HK | RefusedAction:
        """The call with what it lacked, to begin again; or why it is not made."""
        if not isinstance(lacking, LackingApproval):
            return await super().supplied(knock, lacking)
        if self._approvals is None:
            return self.turn_away(knock, Deny(reason=self._nobody(knock)), lacking.live)
        action = self._ids.make("act")
        try:
            used = await self._approvals.consume(lacking.approval, lacking.binding, action)
        except UnavailableError as error:
            return self.turn_away(knock, Deny(reason=unheld(error)), lacking.live)
        if isinstance(used, Deny):
            return self.turn_away(knock, used, lacking.live)
        said = [each.comment for each in used.votes if each.approves and each.comment]
        return msgspec.structs.replace(knock, consumed=action, used=used, answer="\n".join(said))

    def asked(  # noqa: PLR0913, PLR0917 (a question has these parts)
        self,
        knock: HK,
        live: LiveInvocation,
        binding: Binding,
        decision: PolicyDecision,
        reasons: Sequence[str] = (),
        quorum: int | None = None,
    ) -> Holdable | LackingApproval:
        """Nothing but a person stands in its way; `reasons` are more than the policies give."""
        if knock.approval:
            return LackingApproval(
                lack=Lack.APPROVAL,
                organisation=binding.organisation,
                approval=knock.approval,
                binding=binding,
                live=live,
            )
        runtime = live.runtime
        rules = runtime.organisation.approvals
        asking = Asking(
            binding=binding,
            agent_name=runtime.agent.name,
            reasons=(*decision.reasons, *reasons),
            seconds=rules.seconds,
            quorum=rules.quorum if quorum is None else quorum,
            escalate_to=runtime.agent.escalate_to,
        )
        return Holdable(asking=asking, live=live, decision=decision)

    def _held(self, knock: HK, held: Holdable, approval: Approval) -> Hold:
        requested = self.requested(knock)
        return Hold(
            **heading(knock.caller, self._directory, self._clock.now_us()),
            action=self._ids.make("act"),
            action_kind=requested.kind.value,
            resource=requested.resource,
            operation=requested.operation,
            invocation=held.live.id,
            root=held.live.root,
            decision=Decision(
                verdict="ask",
                code=Code.APPROVAL_PENDING.value,
                message="; ".join(held.reasons),
                facts=dict(facts_of(held.decision)),
            ),
            approval=approval.id,
            fingerprint=approval.fingerprint,
            expires_us=str(approval.expires_us),
            client=requested.client,
            sandbox=requested.sandbox,
            target=requested.target,
        )

    def _nobody(self, knock: HK) -> Reason:
        return reason.nobody_to_ask(knock.caller.runtime.agent, self.requested(knock).resource)


def binding_of(  # noqa: PLR0913, PLR0917 (a binding has these parts)
    knock: HeldKnock,
    live: LiveInvocation,
    action: ActionKind,
    resource: str,
    arguments: bytes,
    decision: PolicyDecision,
    pin: str = "",
) -> Binding:
    """What an approval of this call would be for, and for nothing else."""
    runtime = live.runtime
    principal = runtime.principal
    return Binding(
        organisation=runtime.organisation.id,
        chain=knock.caller.chain,
        agent=runtime.id,
        user="" if principal is None else principal.id,
        invocation=live.id,
        root=live.root,
        action=action,
        resource=resource,
        arguments=arguments,
        policies=decision.content,
        pin=pin,
    )


def outdated(knock: HeldKnock, binding: Binding, doubts: Sequence[str] = ()) -> Deny | None:
    """Why an approval that was used up does not count for what the call is by now.

    Between its use and this decision a policy, a pin or a view may have changed. `doubts` are what
    whoever approved it must have known.
    """
    if knock.used is None:
        return None
    return rule.differs(knock.used, binding) or rule.unseen(knock.used, doubts)


def unheld(error: UnavailableError) -> Reason:
    """Held calls cannot be reached."""
    return Reason(
        code=Code.STORE_UNAVAILABLE,
        message="Ringfence could not reach the place where calls wait for a person, so this call "
        "was not made.",
        facts=(("cause", error.code),),
    )

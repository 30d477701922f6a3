"""A call that a person must approve, from being held to going on, for every door."""

from collections.abc import Callable
from dataclasses import replace
from typing import Generic, final

import msgspec

from ringfence.decisions import approval as rule
from ringfence.domain.approval import Approval, ApprovalState
from ringfence.domain.error import UnavailableError
from ringfence.domain.verdict import Deny
from ringfence.enforcement.approval import Approvals
from ringfence.enforcement.holding import HK, Holdable, HoldingPath, T, unheld
from ringfence.enforcement.refusal import RefusedAction


class Unanswered(msgspec.Struct, frozen=True):
    """Nobody has answered yet; the same call made again goes on from here."""

    approval: Approval


@final
class HeldCalls(Generic[HK, T]):
    """Takes calls of one kind through their approval; one for each worker."""

    def __init__(self, path: HoldingPath[HK, T], approvals: Approvals | None) -> None:
        """`approvals` is None where nobody can be asked: then `HoldingPath.hold` denies."""
        self._path = path
        self._approvals = approvals

    async def pursue(
        self,
        knock: HK,
        held: Holdable,
        wait_s: float,
        is_gone: Callable[[], bool] = lambda: False,
    ) -> T | RefusedAction | Unanswered:
        """Hold a call, wait so long for a person, and begin it again if one has approved it.

        A call whose agent `is_gone` does not begin: it stays held for when the agent comes again.
        """
        approval = await self._path.hold(knock, held)
        if isinstance(approval, RefusedAction):
            return approval
        return await self.follow(knock, held, approval, wait_s, is_gone)

    async def follow(
        self,
        knock: HK,
        held: Holdable,
        approval: Approval,
        wait_s: float,
        is_gone: Callable[[], bool] = lambda: False,
    ) -> T | RefusedAction | Unanswered:
        """The same for a call that is held already."""
        path = self._path
        try:
            with held.live.waited_for():
                approval = await self._answered(approval, wait_s)
        except UnavailableError as error:
            return path.turn_away(knock, Deny(reason=unheld(error)), held.live)
        if approval.state is ApprovalState.PENDING or is_gone():
            return Unanswered(approval)
        if approval.state is not ApprovalState.APPROVED:
            return path.turn_away(knock, rule.unusable(approval), held.live)
        return await self.go_on(knock, held, approval, is_gone)

    async def _answered(self, approval: Approval, wait_s: float) -> Approval:
        """The held call once it is decided, or as it is after that time.

        Also who does not wait says so: from then on the same call takes up this one.
        """
        if self._approvals is None:
            return approval
        organisation = approval.binding.organisation
        found = await self._approvals.wait(organisation, approval.id, wait_s)
        # What was erased meanwhile can never be approved.
        return found or replace(approval, state=ApprovalState.WITHDRAWN)

    async def go_on(
        self, knock: HK, held: Holdable, approval: Approval, is_gone: Callable[[], bool]
    ) -> T | RefusedAction:
        """Decide everything anew, and use the approval up; whatever it says is obeyed."""
        knock = msgspec.structs.replace(knock, approval=approval.id, within=held.live.id)
        begun = await self._path.begun(knock, is_gone)
        if isinstance(begun, Holdable):  # what was approved asks for more by now
            return self._path.turn_away(knock, rule.unusable(approval), held.live)
        return begun

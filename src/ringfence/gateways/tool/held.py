"""A call that waits for a person: how its client is kept, and what it is told in the end.

Measured (Claude Code, Codex, Copilot, langgraph, autogen, pydantic-ai): a client waits minutes for
a tool if the stream opens at once and something comes on it now and then. One that does not wait
makes the same call again, and finds it where it stands.
"""

from dataclasses import replace
from typing import Final, final

import msgspec

from ringfence.domain.approval import Approval, ApprovalState
from ringfence.domain.error import UnavailableError
from ringfence.domain.verdict import Ask, Code, Reason
from ringfence.enforcement.approval import Approvals
from ringfence.enforcement.held_call import HeldCalls
from ringfence.enforcement.refusal import RefusedAction
from ringfence.enforcement.tool_call import Holdable, ToolKnock, ToolPath
from ringfence.enforcement.tool_ticket import ToolTicket
from ringfence.gateways.tool.outlet import Outlet
from ringfence.protocols.mcp import message
from ringfence.transport.clock import Clock

WAIT_S: Final = 600.0
"""How long a client is kept waiting; then it is told to ask again."""
LOOK_S: Final = 5.0
"""How often a waiting client hears that it still waits."""
_RETRY_AFTER_S: Final = 30


@final
class HeldClients:
    """Keeps the clients of held calls; one for each door."""

    def __init__(self, path: ToolPath, approvals: Approvals | None, clock: Clock) -> None:
        """`approvals` is None where nothing can be held."""
        self._path = path
        self._approvals = approvals
        self._calls = HeldCalls(path, approvals)
        self._clock = clock

    async def wait(
        self, knock: ToolKnock, held: Holdable, outlet: Outlet, token: bytes
    ) -> ToolTicket | RefusedAction | None:
        """Hold a call until a person has answered; None if its client has left meanwhile.

        `token` is the client's raw progress token, empty if it wants to hear of no progress.
        """
        found = await self._path.hold(knock, held)
        if isinstance(found, RefusedAction) or self._approvals is None:
            return found if isinstance(found, RefusedAction) else None
        outlet.open()
        until_us = self._clock.monotonic_us() + int(WAIT_S * 1e6)
        steps = 0
        while found.state is ApprovalState.PENDING:
            if outlet.response.is_disconnected:
                return None
            steps += 1
            _tell_waiting(outlet, token, steps, found, self._clock.monotonic_us())
            found = await self._looked(self._approvals, found)
            if found.state is ApprovalState.PENDING and self._clock.monotonic_us() > until_us:
                return _pending(found)
        return await self._calls.go_on(knock, held, found, lambda: outlet.response.is_disconnected)

    @staticmethod
    async def _looked(approvals: Approvals, held: Approval) -> Approval:
        """The held call a little later, or as soon as it is decided."""
        try:
            looked = await approvals.wait(held.binding.organisation, held.id, LOOK_S)
        except UnavailableError:
            return held
        return looked or replace(held, state=ApprovalState.WITHDRAWN)


def _tell_waiting(
    outlet: Outlet, token: bytes, steps: int, approval: Approval, now_us: int
) -> None:
    if not token:
        outlet.keep_alive(now_us)
        return
    said = f"waiting for a person to approve ({approval.id})"
    params = {"progressToken": msgspec.Raw(token), "progress": steps, "message": said}
    outlet.say(message.notification("notifications/progress", msgspec.json.encode(params)))


def _pending(approval: Approval) -> RefusedAction:
    """Nobody has answered yet: the client is told how to ask again."""
    facts = (
        ("status", "approval_required"),
        ("approval_id", approval.id),
        ("retry_after_s", str(_RETRY_AFTER_S)),
        ("expires_at_us", str(approval.expires_us)),
    )
    text = (
        f"This call needs a person's approval ({approval.id}), and nobody has answered yet: "
        f"{'; '.join(approval.reasons) or 'a policy asks for it'}. Nothing was done. Make exactly "
        f"the same call again in {_RETRY_AFTER_S} seconds to find out."
    )
    why = Reason(code=Code.APPROVAL_PENDING, message=text, facts=facts)
    return RefusedAction(verdict=Ask(reason=why), action="", invocation=approval.binding.invocation)

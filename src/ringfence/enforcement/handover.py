"""Handing over: what an agent must leave to a person is put before one, with all that is known."""

import asyncio
import logging
from typing import Final, final

import msgspec

from ringfence.decisions.scope import BUILT_IN
from ringfence.domain.action import ActionKind
from ringfence.domain.approval import Binding
from ringfence.domain.error import RingfenceError
from ringfence.domain.tool import ToolKey
from ringfence.domain.verdict import Deny
from ringfence.enforcement.approval import Approvals, Asking
from ringfence.enforcement.live import LiveInvocation

_LOG = logging.getLogger(__name__)

ESCALATE: Final = ToolKey(server=BUILT_IN.name, name="escalate")
"""The built-in tool by which an agent itself asks for a person; a handover stands beside those."""
_SAID_CHARACTERS: Final = 8_000


class Handover(msgspec.Struct, frozen=True, kw_only=True):
    """What a person is shown: what was asked for, and why the agent does not do it."""

    why: str
    said: str


@final
class Handovers:
    """Puts tasks before people; one for each worker. Nothing waits for it."""

    def __init__(self, approvals: Approvals | None) -> None:
        """`approvals` is None where there is nobody to put anything before."""
        self._approvals = approvals
        self._going: set[asyncio.Task[None]] = set()

    def hand_over(self, live: LiveInvocation, why: str, said: str) -> None:
        """Put a task of this run before a person; what fails is logged."""
        if self._approvals is None:
            return
        task = asyncio.get_running_loop().create_task(self._hold(self._approvals, live, why, said))
        self._going.add(task)
        task.add_done_callback(self._going.discard)

    async def settled(self) -> None:
        """Wait until what was handed over so far is before a person, or has failed."""
        if self._going:
            await asyncio.wait(tuple(self._going))

    @staticmethod
    async def _hold(approvals: Approvals, live: LiveInvocation, why: str, said: str) -> None:
        runtime = live.runtime
        principal = runtime.principal
        rules = runtime.organisation.approvals
        asking = Asking(
            binding=Binding(
                organisation=runtime.organisation.id,
                chain=live.chain,
                agent=runtime.id,
                user=principal.id if principal is not None else "",
                invocation=live.id,
                root=live.root,
                action=ActionKind.AGENT_CALL,
                resource=ESCALATE.merged,
                arguments=msgspec.json.encode(Handover(why=why, said=said[:_SAID_CHARACTERS])),
                policies="",
                pin="",
            ),
            agent_name=runtime.agent.name,
            reasons=(why,),
            seconds=rules.seconds,
            escalate_to=runtime.agent.escalate_to,
        )
        try:
            held = await approvals.hold(asking)
        except RingfenceError:
            _LOG.exception("a task could not be handed over")
            return
        if isinstance(held, Deny):
            _LOG.warning("a task was not handed over: %s", held.reason.message)

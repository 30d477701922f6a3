"""What a worker process asks of its supervisor: users, runs, shared limits, held calls."""

import asyncio
from typing import Final, final

from ringfence.app.approval_message import (
    ConsumeApproval,
    ConsumedApproval,
    FindApproval,
    FoundApproval,
    HeldCall,
    HoldCall,
)
from ringfence.app.message import (
    ActionTaken,
    GetToken,
    GotToken,
    Identified,
    Identify,
    Learned,
    Message,
    ReportAction,
)
from ringfence.domain.approval import Approval, ApprovalState, Binding
from ringfence.domain.error import PeerError, UnavailableError
from ringfence.domain.lease import Report, Take, Taken
from ringfence.domain.pacing import Busy, Enter, Entered, Left
from ringfence.domain.registry import Declare, End, Heard, Marked, Resolve, Resolved
from ringfence.domain.tool_source import ToolListing
from ringfence.domain.verdict import Deny
from ringfence.enforcement.approval import Asking, Held
from ringfence.enforcement.tool_grant import GrantedToken
from ringfence.gateways.action_form import Reported
from ringfence.transport.link import Link

_ANSWER_S: Final = 2.0
_TOKEN_S: Final = 25.0
"""As long as an authorization server may take."""
_TURN_S: Final = 1.0
"""For so long somebody who has gone may still seem to wait for a held call."""
_USERS_KEPT: Final = 10_000


@final
class Inquiries:
    """Implements `UserRegistry`, `Lender`, `PaceWire` and `Approvals` of enforcement."""

    def __init__(self) -> None:
        """Nobody can be asked before there is a link."""
        self.link: Link[Message] | None = None
        self.asked = 0
        """How often the supervisor was asked, for the status."""
        self._users: dict[tuple[str, str], str] = {}
        self._entering: dict[int, asyncio.Future[Busy | None]] = {}

    async def user_id(self, organisation: str, name: str) -> str:
        """The id of a user. Raises UnavailableError."""
        known = self._users.get((organisation, name))
        if known is not None:
            return known
        answer = await self._in_time(Identify(organisation=organisation, name=name))
        if not isinstance(answer, Identified):
            raise _unexpected(answer)
        if len(self._users) >= _USERS_KEPT:
            del self._users[next(iter(self._users))]
        self._users[organisation, name] = answer.user
        return answer.user

    async def registry(self, question: Resolve | Declare | End) -> Resolved:
        """What the registry of runs says. Raises UnavailableError."""
        answer = await self._in_time(question)
        if not isinstance(answer, Resolved):
            raise _unexpected(answer)
        return answer

    async def take(self, take: Take) -> Taken:
        """Slabs of shared limits. Raises UnavailableError.

        Waits for as long as there is a link: what was lent must arrive, or it lies idle for ever.
        """
        answer = await self._ask(take)
        if not isinstance(answer, Taken):
            raise _unexpected(answer)
        return answer

    async def hold(self, asking: Asking) -> Held | Deny:
        """Hold a call. Raises UnavailableError."""
        answer = await self._in_time(HoldCall(asking))
        if not isinstance(answer, HeldCall):
            raise _unexpected(answer)
        if answer.held is not None:
            return answer.held
        if answer.refused is None:
            raise _unexpected(answer)
        return Deny(reason=answer.refused)

    async def find(self, organisation: str, approval: str) -> Approval | None:
        """A held call as it is. Raises UnavailableError."""
        return await self.wait(organisation, approval, 0.0)

    async def wait(self, organisation: str, approval: str, timeout_s: float) -> Approval | None:
        """A held call once it is decided, or after that time. Raises UnavailableError.

        Asked in short turns: who stops waiting is soon known not to wait any more.
        """
        left_s = timeout_s
        while True:
            turn_s = min(left_s, _TURN_S)
            question = FindApproval(organisation=organisation, approval=approval, wait_s=turn_s)
            answer = await self._in_time(question, turn_s + _ANSWER_S)
            if not isinstance(answer, FoundApproval):
                raise _unexpected(answer)
            left_s -= turn_s
            found = answer.approval
            if found is None or found.state is not ApprovalState.PENDING or left_s <= 0:
                return found

    async def consume(self, approval: str, binding: Binding, action: str) -> Approval | Deny:
        """Use an approval. Raises UnavailableError; then it may have been used."""
        question = ConsumeApproval(approval=approval, binding=binding, action=action)
        answer = await self._in_time(question)
        if not isinstance(answer, ConsumedApproval):
            raise _unexpected(answer)
        if answer.approval is not None:
            return answer.approval
        if answer.refused is None:
            raise _unexpected(answer)
        return Deny(reason=answer.refused)

    async def granted(self, organisation: str, server: str, refused: str) -> GrantedToken:
        """An access token that a person has granted. Raises UnavailableError."""
        question = GetToken(organisation=organisation, server=server, refused=refused)
        answer = await self._in_time(question, _TOKEN_S)
        if not isinstance(answer, GotToken):
            raise _unexpected(answer)
        return answer.token

    async def elsewhere(self, reported: Reported) -> bool:
        """Whether another worker kept an action and took its outcome. Raises UnavailableError."""
        answer = await self._in_time(ReportAction(reported))
        if not isinstance(answer, ActionTaken):
            raise _unexpected(answer)
        return answer.is_taken

    def report(self, report: Report) -> None:
        """Tell what was spent and what goes back."""
        self.tell(report)

    async def enter(self, enter: Enter) -> Busy | None:
        """Wait for places at paced upstreams. Raises UnavailableError if nobody can answer."""
        if self.link is None or self.link.is_closed:
            raise UnavailableError("link_closed", "this worker has no supervisor")
        self.asked += 1
        entering: asyncio.Future[Busy | None] = asyncio.get_running_loop().create_future()
        self._entering[enter.number] = entering
        try:
            self.link.tell(enter)
            return await entering
        finally:
            del self._entering[enter.number]

    def entered(self, entered: Entered) -> None:
        """What has come of it; nobody may be waiting any more, and has said so."""
        entering = self._entering.get(entered.number)
        if entering is not None and not entering.done():
            entering.set_result(entered.busy)

    def closed(self) -> None:
        """Nobody will answer any more."""
        for entering in self._entering.values():
            if not entering.done():
                why = UnavailableError("link_closed", "the supervisor has gone")
                entering.set_exception(why)

    def left(self, left: Left) -> None:
        """Give places back, or wait for them no longer."""
        self.tell(left)

    def tell(self, message: Heard | End | Marked | Report | Learned | Left | ToolListing) -> None:
        """Say something that needs no answer, in order with everything else."""
        if self.link is not None:
            self.link.tell(message)

    async def _in_time(self, message: Message, timeout_s: float = _ANSWER_S) -> Message:
        try:
            async with asyncio.timeout(timeout_s):
                return await self._ask(message)
        except TimeoutError as error:
            why = "the supervisor does not answer in time"
            raise UnavailableError("supervisor_unavailable", why) from error

    async def _ask(self, message: Message) -> Message:
        if self.link is None:
            raise UnavailableError("link_closed", "this worker has no supervisor")
        self.asked += 1
        return await self.link.ask(message)


def _unexpected(message: Message) -> PeerError:
    return PeerError("link_malformed", f"`{type(message).__name__}` is no answer to that")

"""`/ringfence/v1/approvals/{id}`: an agent asks how a call of its own stands that is held."""

import re
from typing import Final, final

import msgspec

from ringfence.decisions.approval import OPEN
from ringfence.domain.approval import Approval, ApprovalState
from ringfence.domain.error import UnavailableError
from ringfence.domain.verdict import Code, Deny, Reason
from ringfence.enforcement.approval import Approvals
from ringfence.enforcement.authority import LAPSED, Authority
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.live import state_reason
from ringfence.enforcement.model_call import ModelPath
from ringfence.enforcement.refusal import RequestedAction
from ringfence.gateways.answer import answer_refusal, client_of
from ringfence.gateways.invocation import method_not_allowed
from ringfence.transport.http import Request, Response

PREFIX: Final = b"/ringfence/v1/approvals/"
LONGEST_WAIT_S: Final = 60
"""As long as most clients wait for an answer."""

_WAIT: Final = re.compile(rb"wait=([0-9]{1,2})")
_JSON: Final = ((b"content-type", b"application/json"),)


class ApprovalStanding(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent is told of its held call.

    `comments` are what people said who answered, once it is decided. While `state` is `pending` or
    `approved`, the same call made again goes on where this one stands.
    """

    id: str
    state: ApprovalState
    resource: str
    reasons: list[str]
    expires_at_us: str
    is_open: bool
    comments: list[str]


@final
class ApprovalDoor:
    """Shows an agent its own held calls, and those of nobody else."""

    def __init__(self, approvals: Approvals | None, path: ModelPath, authority: Authority) -> None:
        """`approvals` is None where nothing is ever held."""
        self._approvals = approvals
        self._path = path
        self._authority = authority

    @staticmethod
    def serves(path: bytes) -> bool:
        """Whether a path belongs to this door."""
        return path.startswith(PREFIX)

    async def handle(self, caller: Caller, request: Request, response: Response) -> None:
        """Answer one request of a caller who is known; `?wait=30` waits for a decision."""
        if request.method != b"GET":
            self._refuse(caller, request, response, method_not_allowed("GET"))
            return
        asked = _WAIT.fullmatch(request.query)
        wait_s = min(int(asked[1]), LONGEST_WAIT_S) if asked is not None else 0
        named = request.path[len(PREFIX) :].decode("latin-1")
        try:
            found = await self._find(caller, named, wait_s)
        except UnavailableError:
            self._refuse(caller, request, response, _AWAY)
            return
        withheld = state_reason(caller.runtime) if await self._authority.renewed() else LAPSED
        if withheld is not None:
            self._refuse(caller, request, response, withheld)
        elif found is None:
            self._refuse(caller, request, response, _UNKNOWN)
        elif not response.is_disconnected:
            response.send(200, _JSON, msgspec.json.encode(_standing(found)))

    async def _find(self, caller: Caller, named: str, wait_s: int) -> Approval | None:
        """The held call, if it is this agent's, for whom it acts now and on the same chain."""
        if self._approvals is None:
            return None
        organisation = caller.runtime.organisation.id
        found = await self._approvals.find(organisation, named)
        if found is None or _is_another(found, caller):
            return None
        if wait_s and found.state is ApprovalState.PENDING:
            return await self._approvals.wait(organisation, named, wait_s)
        return found

    def _refuse(self, caller: Caller, request: Request, response: Response, why: Reason) -> None:
        requested = RequestedAction(
            resource="approval", operation="approvals", client=client_of(request.headers)
        )
        refused = self._path.refuse(caller, Deny(reason=why), requested)
        answer_refusal(request, response, None, refused)


def _is_another(found: Approval, caller: Caller) -> bool:
    """Whether a call was held for somebody else: what people said of it is for that one alone."""
    return found.binding.agent != caller.runtime.id or found.binding.chain != caller.chain


def _standing(approval: Approval) -> ApprovalStanding:
    is_open = approval.state in OPEN
    is_decided = approval.state is not ApprovalState.PENDING
    return ApprovalStanding(
        id=approval.id,
        state=approval.state,
        resource=approval.binding.resource,
        reasons=list(approval.reasons),
        expires_at_us=str(approval.expires_us),
        is_open=is_open,
        comments=[each.comment for each in approval.votes if each.comment] if is_decided else [],
    )


_UNKNOWN: Final = Reason(
    code=Code.NOT_FOUND,
    message="Ringfence knows no held call with that id for this agent.",
)
_AWAY: Final = Reason(
    code=Code.STORE_UNAVAILABLE,
    message="Ringfence cannot look up held calls right now. Try again in a moment.",
)

"""`/ringfence/v1/actions`: tools that pass no door, such as functions inside an agent or its hooks.

The agent asks before it acts and tells afterwards what came of it. Ringfence decides and records;
that the answer is obeyed is the agent's word, and the record says so (`enforced: by_caller`).
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Final, Literal, TypeVar, final

import msgspec

from ringfence.decisions import reason, scope
from ringfence.domain.error import PeerError, UnavailableError
from ringfence.domain.event import Status
from ringfence.domain.tool import ToolKey
from ringfence.domain.verdict import Code, Deny, Reason
from ringfence.enforcement.approval import Approvals
from ringfence.enforcement.authority import LAPSED, Authority
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.held_call import HeldCalls, Unanswered
from ringfence.enforcement.holding import Holdable
from ringfence.enforcement.live import state_reason
from ringfence.enforcement.refusal import Attempted, RefusedAction
from ringfence.enforcement.tool_call import ToolKnock, ToolPath
from ringfence.enforcement.tool_ticket import ToolEnding, ToolTicket
from ringfence.gateways.answer import answer_refusal, client_of, own_headers
from ringfence.gateways.head import Head
from ringfence.gateways.invocation import method_not_allowed
from ringfence.protocols import strict_json
from ringfence.transport.clock import Clock
from ringfence.transport.http import Request, Response

PATH: Final = b"/ringfence/v1/actions"

_OUTCOME: Final = re.compile(rb"/ringfence/v1/actions/([!-~]{1,80})/outcome")
_BODY_BYTES: Final = 4 * 1024 * 1024
_SECONDS: Final = 600
_OPEN_MOST: Final = 10_000
_SECOND_US: Final = 1_000_000
_JSON: Final = ((b"content-type", b"application/json"),)
_NOTHING: Final = msgspec.Raw(b"{}")

Text = Annotated[str, msgspec.Meta(max_length=200)]


class ActionOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an agent wants to do: a tool that it runs by itself, and with what.

    `seconds` is how long the action may take until its outcome is told, `wait_s` how long to wait
    for a person who must approve it, `call_id` the model's id of the call.
    """

    tool: Text
    arguments: msgspec.Raw = _NOTHING
    call_id: Text = ""
    seconds: Annotated[int, msgspec.Meta(ge=1, le=86_400)] = _SECONDS
    wait_s: Annotated[int, msgspec.Meta(ge=0, le=300)] = 0


class ActionReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What came of an action, as its agent tells it."""

    status: Literal["ok", "error"]
    result: msgspec.Raw = msgspec.Raw()
    error: Text = ""


class Reported(msgspec.Struct, frozen=True, kw_only=True):
    """An outcome on its way to the worker that keeps the action."""

    organisation: str
    credential: str
    action: str
    is_ok: bool
    result: bytes
    error: str


class _Open(msgspec.Struct):
    """An action that was allowed and whose outcome is to come."""

    ticket: ToolTicket
    ends_us: int


_Form = TypeVar("_Form")
Elsewhere = Callable[[Reported], Awaitable[bool]]
"""Asks the other workers to take an outcome; whether one of them kept the action."""


async def nowhere(_reported: Reported) -> bool:
    """There is no other worker."""
    return False


@final
class ActionDoor:
    """Decides and records what agents do by themselves; one for each worker."""

    def __init__(
        self,
        *,
        path: ToolPath,
        approvals: Approvals | None,
        clock: Clock,
        authority: Authority,
        elsewhere: Elsewhere = nowhere,
    ) -> None:
        """No action is open yet."""
        self._path = path
        self._held = HeldCalls(path, approvals)
        self._clock = clock
        self._authority = authority
        self._elsewhere = elsewhere
        self._open: dict[str, _Open] = {}

    @staticmethod
    def serves(path: bytes) -> bool:
        """Whether a path belongs to this door."""
        return path == PATH or path.startswith(PATH + b"/")

    async def handle(
        self, caller: Caller, request: Request, response: Response, head: Head
    ) -> None:
        """Answer one request of a caller who is known."""
        named = _OUTCOME.fullmatch(request.path)
        if request.path != PATH and named is None:
            self._refuse(caller, request, response, _NOT_FOUND)
        elif request.method != b"POST":
            self._refuse(caller, request, response, method_not_allowed("POST"))
        else:
            try:
                body = await request.read(_BODY_BYTES)
                if named is None:
                    await self._ask(caller, request, response, head, body)
                else:
                    await self._tell(caller, request, response, named[1].decode(), body)
            except PeerError as error:
                why = f"Ringfence refused this request: {error.message}."
                self._refuse(caller, request, response, Reason(code=Code(error.code), message=why))

    def tidy(self) -> None:
        """End what nobody has told the outcome of in time: it is unknown."""
        now_us = self._clock.now_us()
        for action, each in list(self._open.items()):
            if not each.ticket.is_open:
                del self._open[action]
            elif now_us >= each.ends_us:
                del self._open[action]
                each.ticket.settle(ToolEnding(status=Status.UNKNOWN, error="not_reported"))

    def take(self, reported: Reported) -> bool:
        """Take the outcome of an action, once; whether this worker kept it for its credential."""
        kept = self._open.get(reported.action)
        if kept is None or not kept.ticket.is_open:
            return False
        caller = kept.ticket.caller
        organisation = caller.runtime.organisation.id
        if (organisation, caller.credential) != (reported.organisation, reported.credential):
            return False
        del self._open[reported.action]
        kept.ticket.settle(
            ToolEnding(
                status=Status.OK if reported.is_ok else Status.FAILED,
                result=reported.result,
                is_error=not reported.is_ok,
                error=reported.error,
            )
        )
        return True

    async def _ask(
        self, caller: Caller, request: Request, response: Response, head: Head, body: bytes
    ) -> None:
        order = _read(body, ActionOrder)
        server, _, name = order.tool.partition("__")
        key = ToolKey(server=server, name=name)
        behind = scope.behind_a_door(caller.runtime.organisation, key)
        if behind is not None:
            self._refuse(caller, request, response, reason.behind_a_door(order.tool, behind.name))
            return
        knock = ToolKnock(
            caller=caller,
            key=key,
            arguments=bytes(order.arguments),
            hints=head.hints,
            client=client_of(request.headers),
            call_id=order.call_id,
        )
        begun = await self._begun(knock, order.wait_s, lambda: response.is_disconnected)
        if isinstance(begun, ToolTicket):
            await self._allow(begun, order, request, response)
        elif isinstance(begun, RefusedAction):
            answer_refusal(request, response, None, begun)
        else:
            _answer(response, 202, _Held.of(begun))

    async def _begun(
        self, knock: ToolKnock, wait_s: float, is_gone: Callable[[], bool]
    ) -> ToolTicket | RefusedAction | Unanswered:
        begun = await self._path.begun(knock, is_gone)
        if not isinstance(begun, Holdable):
            return begun
        return await self._held.pursue(knock, begun, wait_s, is_gone)

    async def _allow(
        self, ticket: ToolTicket, order: ActionOrder, request: Request, response: Response
    ) -> None:
        """Tell the agent that it may, once that is on record (I1)."""
        await asyncio.wait({ticket.durable})
        refused = self._path.written(ticket)
        if refused is None:
            refused = await self._withheld(ticket, response)
        if refused is not None:
            answer_refusal(request, response, None, refused)
            return
        ends_us = self._clock.now_us() + order.seconds * _SECOND_US
        self._open[ticket.action] = _Open(ticket=ticket, ends_us=ends_us)
        ours = own_headers(ticket.live.id, ticket.action)
        allowed = _Allowed(
            id=ticket.action,
            verdict="allow",
            arguments=msgspec.Raw(ticket.arguments),
            deadline_at_us=str(ends_us),
        )
        response.send(201, [*_JSON, *ours], msgspec.json.encode(allowed))

    async def _withheld(self, ticket: ToolTicket, response: Response) -> RefusedAction | None:
        """Why an agent is not told after all: it has left, is barred, or too much is open."""
        is_fresh = await self._authority.renewed()
        why = state_reason(ticket.caller.runtime) if is_fresh else LAPSED
        if why is None and len(self._open) >= _OPEN_MOST:
            why = _TOO_MANY
        if why is None and not response.is_disconnected:
            return None
        ticket.undo(Status.CLIENT_GONE if why is None else Status.CUT, "not_told")
        return RefusedAction(
            verdict=Deny(reason=why or _TOO_MANY), action=ticket.action, invocation=ticket.live.id
        )

    async def _tell(
        self, caller: Caller, request: Request, response: Response, action: str, body: bytes
    ) -> None:
        report = _read(body, ActionReport)
        reported = Reported(
            organisation=caller.runtime.organisation.id,
            credential=caller.credential,
            action=action,
            is_ok=report.status == "ok",
            result=bytes(report.result),
            error=report.error,
        )
        try:
            is_taken = self.take(reported) or await self._elsewhere(reported)
        except UnavailableError:
            self._refuse(caller, request, response, _AWAY)
            return
        if is_taken:
            _answer(response, 200, _Told(id=action, status=report.status))
        else:
            self._refuse(caller, request, response, _NO_SUCH_ACTION)

    def _refuse(self, caller: Caller, request: Request, response: Response, why: Reason) -> None:
        attempted = Attempted(
            resource="action", operation="actions", client=client_of(request.headers)
        )
        refused = self._path.refuse(caller, Deny(reason=why), attempted)
        answer_refusal(request, response, None, refused)


class _Allowed(msgspec.Struct, frozen=True, kw_only=True):
    """The action may be done, with exactly these arguments."""

    id: str
    verdict: str
    arguments: msgspec.Raw
    deadline_at_us: str


class _Held(msgspec.Struct, frozen=True, kw_only=True):
    """A person must approve it first: ask again, unchanged."""

    verdict: str
    approval: str
    reasons: list[str]
    message: str
    expires_at_us: str

    @classmethod
    def of(cls, held: Unanswered) -> "_Held":
        approval = held.approval
        return cls(
            verdict="ask",
            approval=approval.id,
            reasons=list(approval.reasons),
            message="A person must approve this first. Ask again with the same call later; "
            f"GET /ringfence/v1/approvals/{approval.id}?wait=30 waits for the answer.",
            expires_at_us=str(approval.expires_us),
        )


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    status: str


def _answer(response: Response, status: int, body: msgspec.Struct) -> None:
    if not response.is_disconnected:
        response.send(status, _JSON, msgspec.json.encode(body))


def _read(body: bytes, form: type[_Form]) -> _Form:
    """Read a body strictly (DESIGN I8). Raises PeerError `request_malformed`."""
    strict_json.parse(body)
    try:
        return msgspec.json.decode(body, type=form)
    except msgspec.ValidationError as error:
        words = str(error)
        raise PeerError(Code.REQUEST_MALFORMED, words[:1].lower() + words[1:]) from error


_NOT_FOUND: Final = Reason(
    code=Code.NOT_FOUND,
    message="Ringfence has no such path. Actions are asked for at /ringfence/v1/actions and ended "
    "at /ringfence/v1/actions/{id}/outcome.",
)
_NO_SUCH_ACTION: Final = Reason(
    code=Code.NOT_FOUND,
    message="Ringfence knows no open action with that id for this credential: its outcome was told "
    "already, or its time is over.",
)
_AWAY: Final = Reason(
    code=Code.STORE_UNAVAILABLE,
    message="Ringfence cannot reach the worker that keeps this action. Try again in a moment.",
)
_TOO_MANY: Final = Reason(
    code=Code.RATE_EXCEEDED,
    message="Ringfence keeps too many open actions: tell their outcomes before you begin others.",
)

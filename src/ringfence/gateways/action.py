"""`/ringfence/v1/actions`: tools, commands and requests that pass no door.

The agent asks before it acts and tells afterwards what came of it. Ringfence decides and records;
that the answer is obeyed is the agent's word, and the record says so (`enforced: by_caller`).
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar, final

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
from ringfence.enforcement.holding import HK, Holdable, HoldingPath, T
from ringfence.enforcement.http_call import HttpPath
from ringfence.enforcement.http_ticket import HttpEnding, HttpTicket
from ringfence.enforcement.live import state_reason
from ringfence.enforcement.refusal import RefusedAction, RequestedAction
from ringfence.enforcement.shell_call import ShellPath
from ringfence.enforcement.shell_ticket import ExecEnding, ExecTicket
from ringfence.enforcement.tool_call import ToolPath
from ringfence.enforcement.tool_knock import ToolKnock
from ringfence.enforcement.tool_ticket import ToolEnding, ToolTicket
from ringfence.gateways.action_form import (
    ActionOrder,
    ActionReport,
    Allowed,
    AskAgain,
    Reported,
    Told,
)
from ringfence.gateways.action_knock import exec_knock, http_knock, told
from ringfence.gateways.answer import answer_refusal, client_of, own_headers
from ringfence.gateways.head import Head
from ringfence.gateways.invocation import method_not_allowed
from ringfence.protocols import strict_json
from ringfence.transport.clock import Clock
from ringfence.transport.http import Request, Response

PATH: Final = b"/ringfence/v1/actions"

_OUTCOME: Final = re.compile(rb"/ringfence/v1/actions/([!-~]{1,80})/outcome")
_BODY_BYTES: Final = 4 * 1024 * 1024
_OPEN_MOST: Final = 10_000
_SECOND_US: Final = 1_000_000
_JSON: Final = ((b"content-type", b"application/json"),)


AnyTicket = ToolTicket | ExecTicket | HttpTicket


class _Open(msgspec.Struct):
    """An action that was allowed and whose outcome is to come."""

    ticket: AnyTicket
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

    def __init__(  # noqa: PLR0913 (the parts that it joins)
        self,
        *,
        path: ToolPath,
        shell: ShellPath,
        egress: HttpPath,
        approvals: Approvals | None,
        clock: Clock,
        authority: Authority,
        elsewhere: Elsewhere = nowhere,
    ) -> None:
        """No action is open yet."""
        self._path = path
        self._held = HeldCalls(path, approvals)
        self._shell = shell
        self._held_commands = HeldCalls(shell, approvals)
        self._egress = egress
        self._held_requests = HeldCalls(egress, approvals)
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
                _settle(each.ticket, Status.UNKNOWN, _SILENCE)

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
        status = Status.OK if reported.is_ok else Status.FAILED
        _settle(kept.ticket, status, reported)
        return True

    async def _ask(
        self, caller: Caller, request: Request, response: Response, head: Head, body: bytes
    ) -> None:
        order = _read(body, ActionOrder)
        if [bool(order.tool), order.command is None, order.request is None] not in _ONE:
            self._refuse(caller, request, response, _EITHER)
            return
        gone = _Gone(response)
        begun: AnyTicket | RefusedAction | Unanswered | Reason
        if order.command is not None:
            command = exec_knock(caller, request, head, order, order.command)
            begun = await _begun(self._shell, self._held_commands, command, order.wait_s, gone)
        elif order.request is not None:
            sent = http_knock(caller, request, head, order.request)
            begun = await _begun(self._egress, self._held_requests, sent, order.wait_s, gone)
        else:
            begun = await self._begun_tool(caller, request, head, order, gone)
        if isinstance(begun, AnyTicket):
            await self._allow(begun, order, request, response)
        elif isinstance(begun, RefusedAction):
            answer_refusal(request, response, None, begun)
        elif isinstance(begun, Reason):
            self._refuse(caller, request, response, begun)
        else:
            _answer(response, 202, AskAgain.of(begun))

    async def _begun_tool(
        self, caller: Caller, request: Request, head: Head, order: ActionOrder, gone: "_Gone"
    ) -> ToolTicket | RefusedAction | Unanswered | Reason:
        server, _, name = order.tool.partition("__")
        key = ToolKey(server=server, name=name)
        behind = scope.behind_a_door(caller.runtime.organisation, key)
        if behind is not None:
            return reason.behind_a_door(order.tool, behind.name)
        knock = ToolKnock(
            caller=caller,
            key=key,
            arguments=bytes(order.arguments),
            hints=head.hints,
            client=client_of(request.headers),
            call_id=order.call_id,
        )
        return await _begun(self._path, self._held, knock, order.wait_s, gone)

    async def _allow(
        self,
        ticket: AnyTicket,
        order: ActionOrder,
        request: Request,
        response: Response,
    ) -> None:
        """Tell the agent that it may, once that is on record (I1)."""
        await asyncio.wait({ticket.durable})
        refused = self._path_of(ticket).written(ticket)
        if refused is None:
            refused = await self._withheld(ticket, response)
        if refused is not None:
            answer_refusal(request, response, None, refused)
            return
        ends_us = self._clock.now_us() + order.seconds * _SECOND_US
        self._open[ticket.action] = _Open(ticket=ticket, ends_us=ends_us)
        ours = own_headers(ticket.live.id, ticket.action)
        allowed = Allowed(
            id=ticket.action,
            verdict="allow",
            arguments=msgspec.Raw(_arguments(ticket, order)),
            deadline_at_us=str(ends_us),
        )
        response.send(201, [*_JSON, *ours], msgspec.json.encode(allowed))

    def _path_of(self, ticket: AnyTicket) -> ToolPath | ShellPath | HttpPath:
        match ticket:
            case ToolTicket():
                return self._path
            case ExecTicket():
                return self._shell
            case HttpTicket():
                return self._egress

    async def _withheld(self, ticket: AnyTicket, response: Response) -> RefusedAction | None:
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
            exit_code=report.exit_code,
            http_status=report.http_status,
        )
        try:
            is_taken = self.take(reported) or await self._elsewhere(reported)
        except UnavailableError:
            self._refuse(caller, request, response, _AWAY)
            return
        if is_taken:
            _answer(response, 200, Told(id=action, status=report.status))
        else:
            self._refuse(caller, request, response, _NO_SUCH_ACTION)

    def _refuse(self, caller: Caller, request: Request, response: Response, why: Reason) -> None:
        requested = RequestedAction(
            resource="action", operation="actions", client=client_of(request.headers)
        )
        refused = self._path.refuse(caller, Deny(reason=why), requested)
        answer_refusal(request, response, None, refused)


class _Gone:
    """Whether the agent that asked has left."""

    __slots__ = ("_response",)

    def __init__(self, response: Response) -> None:
        self._response = response

    def __call__(self) -> bool:
        return self._response.is_disconnected


async def _begun(
    path: HoldingPath[HK, T], held: HeldCalls[HK, T], knock: HK, wait_s: float, gone: _Gone
) -> T | RefusedAction | Unanswered:
    begun = await path.begun(knock, gone)
    if isinstance(begun, Holdable):
        return await held.pursue(knock, begun, wait_s, gone)
    return begun


def _settle(ticket: AnyTicket, status: Status, told: Reported) -> None:
    error, result = told.error, told.result
    match ticket:
        case ExecTicket():
            code = told.exit_code
            ticket.settle(ExecEnding(status=status, exit_code=code, error=error, result=result))
        case HttpTicket():
            http = told.http_status or 0
            ticket.settle(HttpEnding(status=status, http_status=http, error=error, body=result))
        case ToolTicket():
            is_error = status is not Status.OK
            ticket.settle(ToolEnding(status=status, result=result, is_error=is_error, error=error))


_SILENCE: Final = Reported(
    organisation="", credential="", action="", is_ok=False, result=b"", error="not_reported"
)
"""What is told of an action whose agent says nothing in time."""


def _arguments(ticket: AnyTicket, order: ActionOrder) -> bytes:
    """What was allowed."""
    if isinstance(ticket, HttpTicket):
        return b"{}" if order.request is None else told(order.request)
    return ticket.arguments


def _answer(response: Response, status: int, body: msgspec.Struct) -> None:
    if not response.is_disconnected:
        response.send(status, _JSON, msgspec.json.encode(body))


def _read(body: bytes, form: type[_Form]) -> _Form:
    """Read a body strictly (I8). Raises PeerError `request_malformed`."""
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
_ONE: Final = ([True, True, True], [False, False, True], [False, True, False])
"""Tool, no command, no request: exactly one of the three."""
_EITHER: Final = Reason(
    code=Code.REQUEST_MALFORMED,
    message="Ringfence refused this request: an action is a `tool`, a `command` or a `request`.",
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

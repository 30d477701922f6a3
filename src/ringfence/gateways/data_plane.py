"""The data plane's front: one admission for every path, then the door that serves it."""

import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

from ringfence.decisions import sandbox as sandboxes
from ringfence.domain.error import PeerError
from ringfence.domain.model import Dialect
from ringfence.domain.sandbox import is_sandbox
from ringfence.domain.verdict import Code, Deny, Reason
from ringfence.enforcement.authority import LAPSED, SHUTTING_DOWN, Authority
from ringfence.enforcement.directory import Caller, Directory
from ringfence.enforcement.live import state_reason
from ringfence.enforcement.model_call import ModelPath
from ringfence.enforcement.proof import Proofs
from ringfence.enforcement.refusal import INTERNAL, RefusedAction, RequestedAction, reason_of
from ringfence.enforcement.sandbox import LiveSandbox
from ringfence.gateways import head as heads
from ringfence.gateways.action import ActionDoor
from ringfence.gateways.answer import answer_refusal, client_of, engine_refusal
from ringfence.gateways.approval import ApprovalDoor
from ringfence.gateways.head import Head
from ringfence.gateways.hook import HookDoor
from ringfence.gateways.invocation import InvocationDoor, method_not_allowed
from ringfence.gateways.model import endpoint as endpoints
from ringfence.gateways.model import listing
from ringfence.gateways.model.door import ModelDoor
from ringfence.gateways.tool.door import ToolDoor
from ringfence.gateways.tool.neighbour import FORWARDED
from ringfence.protocols import headers as passing
from ringfence.transport.clock import Clock
from ringfence.transport.http import LOCAL, Handle, Headers, Request, Response, Work
from ringfence.transport.service import RenderRefusal
from ringfence.transport.work import until_over

_LOG = logging.getLogger(__name__)

_TEXT: Final = ((b"content-type", b"text/plain; charset=utf-8"),)
_PATH_BYTES: Final = 200
_OPEN_PATHS: Final = frozenset({b"/healthz", b"/readyz"})

Going = Work | Coroutine[Any, Any, None]
"""What goes on after a request was taken in."""

Readiness = Callable[[], str]
"""Empty if the plane can do its work, else why not, in words that name no organisation."""


class DataPlane:
    """The handler of every request on the data port."""

    def __init__(  # noqa: PLR0913 (the doors and what admission needs)
        self,
        *,
        directory: Directory,
        path: ModelPath,
        model_door: ModelDoor,
        invocation_door: InvocationDoor,
        approval_door: ApprovalDoor,
        action_door: ActionDoor,
        tool_door: ToolDoor,
        proofs: Proofs,
        clock: Clock,
        readiness: Readiness,
        authority: Authority | None = None,
    ) -> None:
        """Join the doors."""
        self._authority = authority or Authority(clock)
        self._directory = directory
        self._path = path
        self._model_door = model_door
        self._invocation_door = invocation_door
        self._approval_door = approval_door
        self._action_door = action_door
        self._hook_door = HookDoor(action_door)
        self._tool_door = tool_door
        self._proofs = proofs
        self._clock = clock
        self._readiness = readiness
        self._is_shut = False

    def shut(self) -> None:
        """The plane stops: whoever comes from now on is told so."""
        self._is_shut = True
        self._tool_door.drain()

    def handle(self, request: Request, response: Response) -> Going | None:
        """Answer one request; whatever is unexpected denies and is recorded (I4)."""
        return self._handle(request, response, None)

    def within(self, sandbox: LiveSandbox) -> Handle:
        """What answers the requests on a sandbox's own listener: for its invocation alone."""
        return partial(self._handle, sandbox=sandbox)

    def refusal_within(self, sandbox: LiveSandbox) -> RenderRefusal:
        """What the HTTP engine refuses on a sandbox's own listener, on the record of its run."""

        def render(status: int, code: str, message: str) -> tuple[Headers, bytes]:
            requested = RequestedAction(
                resource="?",
                operation="http",
                invocation=sandbox.live.id,
                root=sandbox.live.root,
                sandbox=sandbox.id,
            )
            why = Reason(code=Code(code), message=f"Ringfence refused this request: {message}.")
            self._path.refuse(sandbox.caller, Deny(reason=why), requested)
            return engine_refusal(status, code, message)

        return render

    def _handle(
        self, request: Request, response: Response, sandbox: LiveSandbox | None
    ) -> Going | None:
        if request.path in _OPEN_PATHS:
            self._health(request, response)
            return None
        if self._is_shut:
            return self._take_in(request, response, sandbox, SHUTTING_DOWN)
        if not self._authority.is_fresh:
            return self._handle_late(request, response, sandbox)
        return self._take_in(request, response, sandbox)

    async def _handle_late(
        self, request: Request, response: Response, sandbox: LiveSandbox | None
    ) -> None:
        """The same once authority is renewed, or will not be."""
        is_fresh = await self._authority.renewed()
        closed = None if is_fresh else LAPSED
        await _wait_for(self._take_in(request, response, sandbox, closed))

    def _take_in(
        self,
        request: Request,
        response: Response,
        sandbox: LiveSandbox | None,
        closed: Reason | None = None,
    ) -> Going | None:
        caller: Caller | None = None
        going: Going | None = None
        try:
            caller = self._identify(request, response, sandbox)
            if caller is not None and closed is None:
                going = self._admit(caller, request, response)
            elif caller is not None and closed is not None:
                self._refuse(caller, request, response, closed)
        except Exception:  # noqa: BLE001 (what is unexpected denies)
            _LOG.exception("a request failed unexpectedly")
            self._failed(caller, request, response)
            return None
        if isinstance(going, Coroutine):
            return self._finish(caller, request, response, going)
        return going

    async def _finish(
        self,
        caller: Caller | None,
        request: Request,
        response: Response,
        work: Coroutine[Any, Any, None],
    ) -> None:
        """The same for what must wait."""
        try:
            await work
        except ConnectionError:
            response.abort()
        except Exception:  # noqa: BLE001 (what is unexpected denies)
            _LOG.exception("a request failed unexpectedly")
            self._failed(caller, request, response)

    def _identify(
        self, request: Request, response: Response, sandbox: LiveSandbox | None
    ) -> Caller | None:
        """Whose request it is; None if it was refused because nobody's."""
        # Who a sandbox's listener belongs to is known before any credential is.
        known = None if sandbox is None else sandbox.caller
        try:
            digest = heads.digest(request)
        except PeerError as error:
            self._turn_away(known, request, response, reason_of(error))
            return None
        is_forwarded = request.peer == LOCAL and request.header(FORWARDED) is not None
        found = self._directory.identify(digest, self._clock.now_us(), is_forwarded=is_forwarded)
        if isinstance(found, Caller):
            why = sandboxes.misplaced(found.credential, None if sandbox is None else sandbox.id)
            if why is None or is_forwarded:
                return found
            self._refuse(known or found, request, response, why)
            return None
        self._turn_away(known or found.caller, request, response, found.verdict.reason)
        return None

    def _turn_away(
        self, caller: Caller | None, request: Request, response: Response, why: Reason
    ) -> None:
        if caller is None:
            self._answer(request, response, why)
        else:
            self._refuse(caller, request, response, why)

    def _admit(self, caller: Caller, request: Request, response: Response) -> Going | None:
        """Whether the agent may act at all, before anything of the body is read."""
        why = state_reason(caller.runtime)
        if why is not None:
            self._refuse(caller, request, response, why)
            return None
        try:
            head = heads.read(request)
        except PeerError as error:
            self._refuse(caller, request, response, reason_of(error))
            return None
        request.path = head.path
        if head.acts_for_user:
            return self._prove(caller, request, response, head)
        return self._route(caller, request, response, head)

    async def _prove(
        self,
        caller: Caller,
        request: Request,
        response: Response,
        head: Head,
    ) -> None:
        """Go on as the agent acting for a user, if that is proven."""
        proof = request.header(passing.ON_BEHALF_OF) or b""
        proven = await self._proofs.prove(caller, proof)
        if isinstance(proven, Caller):
            await _wait_for(self._route(proven, request, response, head))
        else:
            self._refuse(caller, request, response, proven.reason)

    def _route(
        self,
        caller: Caller,
        request: Request,
        response: Response,
        head: Head,
    ) -> Going | None:
        endpoint = endpoints.find(request.path)
        if endpoint is not None:
            if request.method == b"POST":
                return self._model_door.handle(caller, endpoint, request, response, head)
            self._refuse(caller, request, response, method_not_allowed("POST"))
        elif self._tool_door.serves(request.path):
            return self._tool_door.handle(caller, request, response, head)
        elif self._invocation_door.serves(request.path):
            return self._invocation_door.handle(caller, request, response)
        elif self._approval_door.serves(request.path):
            return self._approval_door.handle(caller, request, response)
        elif (door := self._of_actions(request.path)) is not None:
            return door.handle(caller, request, response, head)
        elif not endpoints.is_listing(request.path):
            self._refuse(caller, request, response, _NOT_FOUND)
        elif request.method == b"GET":
            listing.handle(caller, self._path, request, response)
        else:
            self._refuse(caller, request, response, method_not_allowed("GET"))
        return None

    def _of_actions(self, path: bytes) -> ActionDoor | HookDoor | None:
        """The door for what agents do by themselves, if a path is of one."""
        if self._action_door.serves(path):
            return self._action_door
        return self._hook_door if self._hook_door.serves(path) else None

    def _refuse(self, caller: Caller, request: Request, response: Response, why: Reason) -> None:
        """Refuse somebody who is known, on the record."""
        path = heads.named(request.path)[1]
        endpoint = endpoints.find(path)
        is_confined = is_sandbox(caller.credential)
        requested = RequestedAction(
            resource=path[:_PATH_BYTES].decode("latin-1"),
            operation=endpoint.dialect.value if endpoint is not None else "unknown",
            invocation=(caller.invocation or "") if is_confined else "",
            client=client_of(request.headers),
            sandbox=caller.credential if is_confined else "",
        )
        refused = self._path.refuse(caller, Deny(reason=why), requested)
        answer_refusal(request, response, _dialect(request), refused)

    def _failed(self, caller: Caller | None, request: Request, response: Response) -> None:
        """Deny because of a fault of ours, on the record if that still works."""
        if response.is_started:
            response.abort()
            return
        try:
            if caller is not None:
                self._refuse(caller, request, response, INTERNAL)
                return
        except Exception:  # noqa: BLE001 (then without a record: nothing else is left)
            _LOG.exception("a refusal could not be recorded")
        if not response.is_started:
            self._answer(request, response, INTERNAL)

    def _health(self, request: Request, response: Response) -> None:
        trouble = self._readiness() if request.path == b"/readyz" else ""
        if trouble:
            response.send(503, _TEXT, f"not ready: {trouble}\n".encode())
        else:
            response.send(200, _TEXT, b"ok\n")

    def _answer(self, request: Request, response: Response, why: Reason) -> None:
        """Refuse somebody who is not known; there is nobody to record it for."""
        refused = RefusedAction(verdict=Deny(reason=why), action="")
        answer_refusal(request, response, _dialect(request), refused)


async def _wait_for(going: Going | None) -> None:
    if isinstance(going, Coroutine):
        await going
    elif going is not None:
        await until_over(going)


def _dialect(request: Request) -> Dialect:
    """The dialect to word a refusal in, for any path."""
    path = heads.named(request.path)[1]
    if endpoints.find(path) is None and endpoints.is_listing(path):
        return listing.dialect_of(path, request.headers)
    return endpoints.dialect_of(path)


_NOT_FOUND: Final = Reason(
    code=Code.NOT_FOUND,
    message="Ringfence has no such path. Model calls go to /v1/chat/completions, /v1/responses, "
    "/v1/embeddings, /v1/messages, /v1beta/models/…; /v1/models lists what this agent may use.",
)

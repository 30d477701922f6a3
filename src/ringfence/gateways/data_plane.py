"""The data plane's front: one admission for every path, then the door that serves it."""

import logging
from collections.abc import Callable
from typing import Final

from ringfence.domain.error import PeerError
from ringfence.domain.model import Dialect
from ringfence.domain.verdict import Code, Deny, Reason
from ringfence.enforcement.directory import Caller, Directory
from ringfence.enforcement.live import state_reason
from ringfence.enforcement.model_call import ModelPath
from ringfence.enforcement.refusal import Attempted, RefusedAction
from ringfence.gateways.answer import answer_refusal
from ringfence.gateways.invocation import InvocationDoor, method_not_allowed
from ringfence.gateways.model import endpoint as endpoints
from ringfence.gateways.model import listing
from ringfence.gateways.model.door import ModelDoor, client_of, reason_of
from ringfence.protocols import headers as passing
from ringfence.transport.clock import Clock
from ringfence.transport.http import Request, Response

_LOG = logging.getLogger(__name__)

_TEXT: Final = ((b"content-type", b"text/plain; charset=utf-8"),)
_PREFIX: Final = b"/invocation/"
"""`/invocation/ID/v1/…` says what the header `Ringfence-Invocation: ID` says, for clients that can
only be given a base URL."""
_OPEN_PATHS: Final = frozenset({b"/healthz", b"/readyz"})

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
        clock: Clock,
        readiness: Readiness,
    ) -> None:
        """Join the doors."""
        self._directory = directory
        self._path = path
        self._model_door = model_door
        self._invocation_door = invocation_door
        self._clock = clock
        self._readiness = readiness

    async def handle(self, request: Request, response: Response) -> None:
        """Answer one request; whatever is unexpected denies (DESIGN I4)."""
        try:
            await self._handle(request, response)
        except ConnectionError:
            response.abort()
        except Exception:  # noqa: BLE001 (what is unexpected denies)
            _LOG.exception("a request failed unexpectedly")
            if response.is_started:
                response.abort()
            else:
                self._answer(request, response, _INTERNAL)

    async def _handle(self, request: Request, response: Response) -> None:
        if request.path in _OPEN_PATHS:
            self._health(request, response)
            return
        try:
            passing.check(request.headers)
            token = passing.credential(request.headers)
            path, hints = _hints(request)
        except PeerError as error:
            self._answer(request, response, reason_of(error))
            return
        caller = self._identify(request, response, token)
        if caller is not None:
            request.path = path
            await self._route(caller, request, response, hints)

    def _identify(self, request: Request, response: Response, token: str | None) -> Caller | None:
        found = self._directory.identify(
            token.encode("latin-1") if token else None, self._clock.now_us()
        )
        if isinstance(found, Caller):
            return found
        if found.caller is not None:
            attempted = Attempted(client=client_of(request.headers))
            refused = self._path.refuse(found.caller, found.verdict, attempted)
            answer_refusal(request, response, endpoints.dialect_of(request.path), refused)
        else:
            self._answer(request, response, found.verdict.reason)
        return None

    async def _route(
        self,
        caller: Caller,
        request: Request,
        response: Response,
        hints: tuple[tuple[str, str], ...],
    ) -> None:
        endpoint = endpoints.find(request.path)
        if endpoint is not None and request.method == b"POST":
            await self._model_door.handle(caller, endpoint, request, response, hints)
            return
        if self._invocation_door.serves(request.path):
            await self._invocation_door.handle(caller, request, response)
            return
        is_listing = (
            request.path in endpoints.LISTING_PATHS
            or endpoints.listed_model(request.path) is not None
        )
        not_active = state_reason(caller.runtime)
        if not_active is not None:
            why = not_active
        elif endpoint is not None:
            why = method_not_allowed("POST")
        elif is_listing and request.method == b"GET":
            listing.handle(caller, self._path, request, response)
            return
        else:
            why = method_not_allowed("GET") if is_listing else _NOT_FOUND
        attempted = Attempted(
            resource=request.path[:200].decode("latin-1"),
            operation="unknown",
            client=client_of(request.headers),
        )
        refused = self._path.refuse(caller, Deny(reason=why), attempted)
        answer_refusal(request, response, endpoints.dialect_of(request.path), refused)

    def _health(self, request: Request, response: Response) -> None:
        trouble = self._readiness() if request.path == b"/readyz" else ""
        if trouble:
            response.send(503, _TEXT, f"not ready: {trouble}\n".encode())
        else:
            response.send(200, _TEXT, b"ok\n")

    def _answer(self, request: Request, response: Response, why: Reason) -> None:
        """Refuse somebody who is not known; there is nobody to record it for."""
        dialect: Dialect = endpoints.dialect_of(request.path)
        refused = RefusedAction(verdict=Deny(reason=why), action="")
        answer_refusal(request, response, dialect, refused)


def _hints(request: Request) -> tuple[bytes, tuple[tuple[str, str], ...]]:
    """The path without an invocation prefix, and the ids by which the request names its run."""
    hints = passing.client_ids(request.headers)
    if not request.path.startswith(_PREFIX):
        return request.path, hints
    name, slash, rest = request.path[len(_PREFIX) :].partition(b"/")
    if not name or not slash or len(name) > passing.MAX_ID_CHARACTERS or not name.isascii():
        raise PeerError(Code.REQUEST_MALFORMED, "the path's invocation is not an id")
    return b"/" + rest, (("ringfence-invocation", name.decode()), *hints)


_NOT_FOUND: Final = Reason(
    code=Code.NOT_FOUND,
    message="Ringfence has no such path. Model calls go to /v1/chat/completions, /v1/responses, "
    "/v1/embeddings, /v1/messages, /v1beta/models/…; /v1/models lists what this agent may use.",
)
_INTERNAL: Final = Reason(
    code=Code.INTERNAL,
    message="Ringfence failed unexpectedly and stopped this call. The failure is in its log.",
)

"""`/ringfence/v1/hooks/claude-code/{server}`: the actions API in the words of an agent's own hooks.

A door on a door: what a hook says is put before `gateways.action` as an agent would, and the answer
is put into the hook's words. It answers 200 always, since a hook that fails is one that is ignored.
"""

import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from typing import Final, final

import msgspec

from ringfence.domain.error import PeerError
from ringfence.enforcement.directory import Caller
from ringfence.gateways.action import PATH as ACTIONS
from ringfence.gateways.action import ActionDoor
from ringfence.gateways.head import Head
from ringfence.protocols import claude_hook
from ringfence.protocols.claude_hook import Hooked, HookEvent
from ringfence.transport.http import Headers, Request, Response

_PATH: Final = re.compile(rb"/ringfence/v1/hooks/claude-code/([a-z][a-z0-9-]{0,19})")
_PREFIX: Final = b"/ringfence/v1/hooks/"
_BODY_BYTES: Final = 8 * 1024 * 1024
_WAIT_S: Final = 300
"""How long a person is waited for; the hook itself is set to wait longer."""
_DEADLINE_S: Final = 3600
_OPEN_MOST: Final = 10_000
_JSON: Final = ((b"content-type", b"application/json"),)
_ALLOWED: Final = 201
_HELD: Final = 202
_UNREADABLE: Final = "Ringfence could not read what the hook said, and refuses it."


class _Allowed(msgspec.Struct):
    id: str
    arguments: msgspec.Raw


class _Held(msgspec.Struct):
    message: str


class _Problem(msgspec.Struct):
    message: str


class _Refused(msgspec.Struct):
    error: _Problem


@final
class HookDoor:
    """Translates for the actions door; one for each worker."""

    def __init__(self, actions: ActionDoor) -> None:
        """No action is open yet."""
        self._actions = actions
        self._open: OrderedDict[tuple[str, str], str] = OrderedDict()

    @staticmethod
    def serves(path: bytes) -> bool:
        """Whether a path belongs to this door."""
        return path.startswith(_PREFIX)

    async def handle(
        self, caller: Caller, request: Request, response: Response, head: Head
    ) -> None:
        """Answer one hook of a caller who is known."""
        named = _PATH.fullmatch(request.path)
        if named is None or request.method != b"POST":
            # The actions door says what is wrong with a path or a method, and records it.
            await self._actions.handle(caller, request, response, head)
            return
        try:
            hooked = claude_hook.read(await request.read(_BODY_BYTES))
        except PeerError:
            _say(response, claude_hook.deny(_UNREADABLE))
            return
        if hooked is None:
            _say(response, claude_hook.NOTHING)
        elif hooked.event is HookEvent.BEFORE:
            server = named[1].decode()
            _say(response, await self._ask(caller, request, response, head, server, hooked))
        else:
            await self._tell(caller, request, head, hooked)
            _say(response, claude_hook.NOTHING)

    async def _ask(  # noqa: PLR0913, PLR0917 (a request has these parts)
        self,
        caller: Caller,
        request: Request,
        response: Response,
        head: Head,
        server: str,
        hooked: Hooked,
    ) -> bytes:
        order = {
            "tool": f"{server}__{hooked.tool}",
            "arguments": hooked.arguments,
            "call_id": hooked.call_id,
            "wait_s": _WAIT_S,
            "seconds": _DEADLINE_S,
        }
        answer = _Answer(response)
        inner = _Order(request, ACTIONS, msgspec.json.encode(order))
        await self._actions.handle(caller, inner, answer, head)
        if answer.status == _ALLOWED:
            allowed = msgspec.json.decode(answer.body, type=_Allowed)
            if hooked.call_id:
                self._keep(caller, hooked.call_id, allowed.id)
            return claude_hook.allow(bytes(allowed.arguments))
        if answer.status == _HELD:
            return claude_hook.deny(msgspec.json.decode(answer.body, type=_Held).message)
        return claude_hook.deny(msgspec.json.decode(answer.body, type=_Refused).error.message)

    def _keep(self, caller: Caller, call_id: str, action: str) -> None:
        self._open[caller.credential, call_id] = action
        if len(self._open) > _OPEN_MOST:
            self._open.popitem(last=False)

    async def _tell(self, caller: Caller, request: Request, head: Head, hooked: Hooked) -> None:
        action = self._open.pop((caller.credential, hooked.call_id), None)
        if action is None:
            return
        report: dict[str, object] = {"status": "ok"}
        if hooked.event is HookEvent.FAILED:
            report = {"status": "error", "error": hooked.error[:200]}
        elif bytes(hooked.result):
            report["result"] = hooked.result
        path = ACTIONS + b"/" + action.encode() + b"/outcome"
        inner = _Order(request, path, msgspec.json.encode(report))
        await self._actions.handle(caller, inner, _Answer(None), head)


def _say(response: Response, body: bytes) -> None:
    if not response.is_disconnected:
        response.send(200, _JSON, body)


@final
class _Order:
    """A `Request` of ours in the place of the hook's."""

    def __init__(self, outer: Request, path: bytes, body: bytes) -> None:
        self.method = b"POST"
        self.path = path
        self.query = b""
        self.headers = outer.headers
        self.peer = outer.peer
        self.memo: dict[object, object] | None = None
        self._outer = outer
        self._body = body

    def header(self, name: bytes) -> bytes | None:
        return self._outer.header(name)

    def whole(self, limit_bytes: int) -> bytes | None:
        del limit_bytes
        return self._body

    async def read(self, limit_bytes: int) -> bytes:
        del limit_bytes
        return self._body

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._body


@final
class _Answer:
    """A `Response` that is kept; its client has left when the hook's has."""

    def __init__(self, outer: Response | None) -> None:
        self._outer = outer
        self.status = 0
        self.body = b""
        self.is_started = False

    @property
    def is_disconnected(self) -> bool:
        return self._outer is not None and self._outer.is_disconnected

    def send(self, status: int, headers: Headers, body: bytes) -> None:
        del headers
        self.status, self.body, self.is_started = status, body, True

    def start(self, status: int, headers: Headers, *, content_length: int | None = None) -> None:
        del headers, content_length
        self.status, self.is_started = status, True

    def write(self, data: bytes) -> None:
        self.body += data

    def end(self) -> None:
        """Nothing more comes."""

    def abort(self) -> None:
        """Nothing was promised."""

    async def drain(self) -> None:
        """Nothing waits."""

    def on_disconnect(self, callback: Callable[[], None]) -> None:
        if self._outer is not None:
            self._outer.on_disconnect(callback)

    def on_pause(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        del pause, resume

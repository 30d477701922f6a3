"""`/ringfence/v1/hooks/claude-code/{server}`: the actions API in the words of an agent's own hooks.

A door on a door: what a hook says is put before `gateways.action` as an agent would, and the answer
is put into the hook's words. It answers 200 always, since a hook that fails is one that is ignored.
"""

import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final, final

import msgspec

from ringfence.domain.error import PeerError
from ringfence.enforcement.directory import Caller
from ringfence.gateways.action import PATH as ACTIONS
from ringfence.gateways.action import ActionDoor
from ringfence.gateways.head import Head
from ringfence.gateways.inward import InwardRequest, InwardResponse
from ringfence.protocols import claude_hook
from ringfence.protocols.claude_hook import Hooked, HookEvent
from ringfence.transport.http import Request, Response

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
        answer = InwardResponse(response)
        inner = _inner(request, ACTIONS, order)
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
        await self._actions.handle(caller, _inner(request, path, report), InwardResponse(), head)


def _inner(request: Request, path: bytes, document: Mapping[str, object]) -> InwardRequest:
    """A request of ours in the place of the hook's."""
    body = msgspec.json.encode(document)
    return InwardRequest(path, request.headers, body, peer=request.peer)


def _say(response: Response, body: bytes) -> None:
    if not response.is_disconnected:
        response.send(200, _JSON, body)

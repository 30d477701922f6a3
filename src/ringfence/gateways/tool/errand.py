"""Errands: calls that the plane makes at its own tool door, because a person has asked for them.

They go the way of every call: the agent's scope, the policies, limits and budgets, a person who
approves, the record. Nothing is sent over a socket to get there.
"""

from typing import Final, final

import msgspec

from ringfence.domain.caller import CallerTier
from ringfence.domain.errand import Errand, ErrandOutcome
from ringfence.domain.tool import ToolKey
from ringfence.domain.verdict import Code
from ringfence.enforcement.directory import Caller, Directory
from ringfence.enforcement.tool_registry import ToolRegistry
from ringfence.gateways.head import Head
from ringfence.gateways.inward import InwardRequest, InwardResponse
from ringfence.gateways.tool.begin import until_gone
from ringfence.gateways.tool.door import PATH, ToolDoor
from ringfence.gateways.tool.neighbour import FORWARDED
from ringfence.protocols import sse
from ringfence.protocols.mcp import head as heads
from ringfence.protocols.mcp import request as requests
from ringfence.protocols.mcp.version import LATEST
from ringfence.transport.http import Headers

CREDENTIAL: Final = "plane"
"""What stands in the record in place of an agent's token."""


@final
class Errands:
    """Runs them; one for each worker."""

    def __init__(self, door: ToolDoor, directory: Directory, registry: ToolRegistry) -> None:
        """Nothing is called yet."""
        self._door = door
        self._directory = directory
        self._registry = registry

    async def carry_out(self, errand: Errand) -> ErrandOutcome:
        """Make the call; returns when it has ended, or a person or time has ended it."""
        runtime = self._directory.agent(errand.agent)
        if runtime is None or runtime.organisation.id != errand.organisation:
            return ErrandOutcome(is_done=False, told="there is no such agent any more")
        chain = (errand.asker, runtime.id) if errand.asker else (runtime.id,)
        caller = Caller(
            runtime=runtime, credential=CREDENTIAL, chain=chain, tier=CallerTier.BACKGROUND
        )
        while True:
            answer = await self._call(caller, errand)
            if answer.code != Code.APPROVAL_PENDING.value:
                return ErrandOutcome(is_done=answer.is_good, told=answer.text)

    async def _call(self, caller: Caller, errand: Errand) -> "_Answer":
        key = ToolKey(server=errand.server, name=errand.tool)
        known = self._registry.find(errand.organisation, key)
        shown = errand.tool if known is None else known.shown_name
        request, response = _request(errand, shown), InwardResponse()
        head = Head(
            path=request.path,
            hints=(("ringfence-invocation", errand.run),),
            client="ringfence",
            acts_for_user=False,
        )
        await until_gone(self._door.handle(caller, request, response, head, errand))
        await response.over
        return _read(response.body)


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    text: str
    code: str = ""
    """Of a refusal of ours."""
    is_good: bool = False


class _Part(msgspec.Struct):
    text: str = ""


class _Told(msgspec.Struct):
    code: str = ""


class _Result(msgspec.Struct, rename="camel"):
    content: list[_Part] = []
    is_error: bool = False
    structured_content: msgspec.Raw = msgspec.Raw(b"")


class _Fault(msgspec.Struct):
    message: str = ""


class _Message(msgspec.Struct):
    result: _Result | None = None
    error: _Fault | None = None


def _read(body: bytes) -> _Answer:
    """The last message of an answer, whatever its form."""
    raw = body
    if not body.startswith(b"{"):
        datas = [sse.data_of(event) for event in sse.Splitter().feed(body)]
        raw = next((data for data in reversed(datas) if data), b"{}")
    try:
        found = msgspec.json.decode(raw, type=_Message)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Answer(text="the answer cannot be read")
    if found.result is None:
        return _Answer(text=found.error.message if found.error is not None else "no answer came")
    text = "\n".join(part.text for part in found.result.content if part.text)
    return _Answer(text=text, code=_code(found.result), is_good=not found.result.is_error)


def _code(result: _Result) -> str:
    raw = bytes(result.structured_content)
    if not result.is_error or not raw:
        return ""
    try:
        return msgspec.json.decode(raw, type=_Told).code
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def _request(errand: Errand, shown: str) -> InwardRequest:
    """What a modern client would send that can show nothing."""
    meta = {requests.VERSION: LATEST, requests.CAPABILITIES: {}}
    arguments = msgspec.Raw(errand.arguments)
    params = {"name": shown, "arguments": arguments, "_meta": meta}
    document = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    # As if it were handed over already: this very worker answers it.
    headers: Headers = [*heads.written("tools/call", shown), (FORWARDED, b"0")]
    path = PATH + b"/" + errand.server.encode()
    return InwardRequest(path, headers, msgspec.json.encode(document))

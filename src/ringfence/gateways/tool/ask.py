"""What a call is given: what every call shares, what was asked by whom, and where it goes."""

import hashlib
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeAlias

import msgspec

from ringfence.decisions.failure_rule import Failed
from ringfence.domain.tool import ToolKey
from ringfence.enforcement.allowance import Portion
from ringfence.enforcement.authority import Authority
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.tool_call import ToolPath
from ringfence.enforcement.tool_inspection import Inspected, Unfinished
from ringfence.enforcement.tool_ticket import ToolTicket
from ringfence.gateways.tool.channel import Channel, Failure
from ringfence.gateways.tool.rounds import Waiting
from ringfence.gateways.tool.server import ToolLink
from ringfence.gateways.tool.session import Session
from ringfence.gateways.tool.task import Tasks
from ringfence.protocols import strict_json
from ringfence.protocols.mcp import head as heads
from ringfence.protocols.mcp import request, translation
from ringfence.protocols.mcp.request import Asked
from ringfence.protocols.mcp.sealing import Sealer
from ringfence.protocols.mcp.version import Era
from ringfence.protocols.strict_json import Edit
from ringfence.transport.clock import Clock
from ringfence.transport.http import Headers, Request, Response

Finish: TypeAlias = Callable[[ToolTicket, Unfinished], Coroutine[Any, Any, Inspected]]
"""Brings a call to its end that does not end with its answer; settles its ticket."""


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What every call of a door shares."""

    path: ToolPath
    clock: Clock
    authority: Authority
    sealer: Sealer
    tasks: Tasks
    waiting: Waiting
    number: int
    """Of this worker: it stands in the names of suspended calls."""
    failed: Callable[[Failure], Failed]
    """A server that gave no answer, in the words of a tool's rules."""
    secret: Callable[[str], str]
    nonce: Callable[[], bytes]


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked of the door, by whom, and where the answer goes."""

    request: Request
    response: Response
    caller: Caller
    asked: Asked
    era: Era
    session: Session | None
    portion: Portion
    mirrored: Headers = ()
    is_pointed: bool = False
    """Whether its client was pointed to the approval that it waits for, and asks again."""

    @property
    def number(self) -> bytes:
        """The raw id of the request."""
        return self.asked.message.id


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request goes: the server, the channel to it, and its own name for the thing."""

    link: ToolLink
    channel: Channel
    name: str
    key: ToolKey
    """How the path knows it."""


def edits_of(ask: Ask, target: Target, ticket: ToolTicket, number: bytes) -> list[Edit]:
    """What is changed in the client's message before the server gets it."""
    asked = ask.asked
    edits: list[Edit] = []
    if number != ask.number:
        edits += request.with_id(asked, number)
    if target.name and target.name != asked.name:
        edits += request.with_name(asked, target.name)
    if asked.message.method == "tools/call" and ticket.arguments != asked.arguments:
        edits += request.with_arguments(asked, ticket.arguments)
    is_older = target.channel.era is Era.LEGACY and ask.era is Era.MODERN
    if ask.is_pointed or is_older:
        edits += request.without_input(asked)
    meta: dict[str, bytes] = {}
    if target.channel.era is Era.MODERN and ask.session is not None:
        session = ask.session
        meta = translation.meta_of(session.introduction, session.level)
    if ticket.is_repeatable:
        meta = {**meta, IDEMPOTENCY_KEY: strict_json.encode(ticket.action)}
    if is_older:
        return edits + request.without_era(asked, meta)
    return edits + request.with_meta(asked, meta) if meta else edits


def mirrored_of(ask: Ask, target: Target, ticket: ToolTicket) -> Headers:
    """The `Mcp-Param-…` headers of what is sent.

    A client's own pass as they are, for the server to check; where its arguments were rewritten, or
    where it comes from an era without such headers, they are made of what is sent.
    """
    if target.channel.era is not Era.MODERN:
        return ()
    tool, asked = ticket.quote.tool, ask.asked
    is_other = ask.era is not Era.MODERN or ticket.arguments != asked.arguments
    if tool is None or not is_other:
        return ask.mirrored
    return heads.mirrored(tool.definition.input_schema, ticket.arguments)


IDEMPOTENCY_KEY: Final = "ringfence/idempotencyKey"
"""In `_meta` of each attempt of a call that may be repeated: by it a server knows a repetition."""


def owner_of(ask: Ask) -> tuple[str, ...]:
    """Whose request it is and what it asks for, as a suspended call is bound to it."""
    caller = ask.caller
    principal = caller.runtime.principal
    method = ask.asked.message.method
    return (
        caller.runtime.organisation.id,
        caller.credential,
        "" if principal is None else repr(principal),
        method,
        ask.asked.name,
        hashlib.sha256(ask.asked.arguments).hexdigest(),
    )

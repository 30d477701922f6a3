"""One POST to the tool gateway: what is known of it, and what the path and a server get of it."""

from collections.abc import Sequence

import msgspec

from ringfence.domain.errand import Errand
from ringfence.domain.tool import ToolKey, ToolServer
from ringfence.enforcement.allowance import Portion
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.tool_knock import ToolKnock
from ringfence.gateways.head import Head
from ringfence.gateways.tool.ask import Ask
from ringfence.gateways.tool.session import Session
from ringfence.protocols.mcp import head as heads
from ringfence.protocols.mcp import request
from ringfence.protocols.mcp.request import Asked
from ringfence.protocols.mcp.version import Era
from ringfence.transport.http import Request, Response


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """One POST and what is known of it."""

    caller: Caller
    request: Request
    response: Response
    head: Head
    server: str
    servers: Sequence[ToolServer]
    """Those that its address reaches; of `/mcp/{server}` the one."""
    portion: Portion
    stated: heads.Stated
    """What the protocol's own headers state."""
    errand: Errand | None = None


def stated_of(request: Request) -> heads.Stated:
    """What the protocol's own headers state; read once for a head that is repeated."""
    memo = request.memo
    known = None if memo is None else memo.get("mcp")
    if isinstance(known, heads.Stated):
        return known
    found = heads.read(request.headers)
    if memo is not None:
        memo["mcp"] = found
    return found


def ask_of(post: Post, asked: Asked, era: Era, session: Session | None = None) -> Ask:
    """A request as the rest of the door takes it."""
    return Ask(
        request=post.request,
        response=post.response,
        caller=post.caller,
        asked=asked,
        era=era,
        session=session,
        portion=post.portion,
        mirrored=post.stated.mirrored if era is Era.MODERN else (),
    )


def knock_of(post: Post, ask: Ask, key: ToolKey) -> ToolKnock:
    """A request as the path takes it."""
    asked = ask.asked
    method = asked.message.method
    return ToolKnock(
        caller=ask.caller,
        key=key,
        arguments=asked.arguments if method == "tools/call" else asked.part_of_params,
        operation=method,
        hints=(*post.head.hints, *asked.hints),
        call_id=asked.call_id,
        client=post.head.client,
        about="" if post.errand is None else post.errand.about,
        because="" if post.errand is None else post.errand.because,
    )


def era_of(post: Post, asked: Asked) -> Era:
    """The era that its head and its body state together."""
    return request.era_of(asked, post.stated.version or "")


def key_of(post: Post, asked: Asked) -> tuple[str, ...]:
    """Whose requests share a legacy session: one credential's, for one user and one run."""
    caller = post.caller
    run = caller.invocation or dict(post.head.hints).get("ringfence-invocation", "")
    principal = caller.runtime.principal
    return (
        caller.credential,
        "" if principal is None else repr(principal),
        run,
        asked.said(request.CAPABILITIES).decode("utf-8", "replace"),
    )

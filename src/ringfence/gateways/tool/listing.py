"""Lists: asked of every server in view, filtered for the agent, and put together."""

import asyncio
import logging
import re
from collections.abc import Callable, Sequence
from typing import Final, final

import msgspec

from ringfence.decisions import reason
from ringfence.domain.error import PeerError, RingfenceError
from ringfence.domain.tool import ToolState
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.live import Refusable
from ringfence.enforcement.tool_call import ToolPath
from ringfence.enforcement.tool_registry import Registered, ToolRegistry
from ringfence.gateways.tool import built_in
from ringfence.gateways.tool.asking import FailedError, Reply, ask
from ringfence.gateways.tool.channel import Channel, Sending
from ringfence.gateways.tool.server import ToolLink
from ringfence.protocols import strict_json
from ringfence.protocols.mcp import error as errors
from ringfence.protocols.mcp import identity, listing, message, translation
from ringfence.protocols.mcp import name as names
from ringfence.protocols.mcp.error import McpError
from ringfence.protocols.mcp.listing import Page
from ringfence.protocols.mcp.request import Asked
from ringfence.protocols.mcp.sealing import Sealer
from ringfence.protocols.mcp.version import Era
from ringfence.protocols.tool_definition import read_definition
from ringfence.transport.clock import Clock

_LOG = logging.getLogger(__name__)

_PAGE: Final = 500
"""Tools on one page of ours; few clients ask for a second one."""
_LISTS: Final = {
    "resources/list": "resources/read",
    "resources/templates/list": "resources/read",
    "resources/subscribe": "resources/read",
    "resources/unsubscribe": "resources/read",
    "prompts/list": "prompts/get",
}
"""What a method tells of: who may not have that, is not told of it either."""
_CURSOR_US: Final = 3_600_000_000
_KEPT_MOST: Final = 64
"""Lists that are kept as they were written; each is as long as its server's own."""


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """A server in view, and the channel to it for this client."""

    link: ToolLink
    channel: Channel
    meta: dict[str, bytes] = {}
    """`_meta` for a modern server."""


class View(msgspec.Struct, frozen=True, kw_only=True):
    """What a client looks at: one server, or several under merged names."""

    ways: Sequence[Way]
    is_merged: bool
    era: Era


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What was written of these tools, under the page of the server that begins with `first`."""

    usable: Sequence[Registered]
    first: bytes
    whole: bytes


@final
class Lists:
    """Answers the methods that list."""

    def __init__(
        self,
        *,
        path: ToolPath,
        registry: ToolRegistry,
        sealer: Sealer,
        clock: Clock,
        nonce: Callable[[], bytes],
    ) -> None:
        """One for each door."""
        self._path = path
        self._registry = registry
        self._sealer = sealer
        self._clock = clock
        self._nonce = nonce
        self._kept: dict[tuple[int, Era], _Kept] = {}

    async def tools(self, caller: Caller, view: View, cursor: str) -> bytes:
        """The tools that the agent may use, as the result of `tools/list`.

        A server that does not answer is left out, and only it. Raises McpError for a wrong cursor,
        and where there is but one server and it fails.
        """
        bound = self._bound(caller, "tools/list")
        at = 0 if not cursor else int(self._opened(cursor, bound))
        surveyed: Sequence[bytes | BaseException]
        if view.is_merged:
            surveyed = await asyncio.gather(
                *(self._survey(way) for way in view.ways), return_exceptions=True
            )
        else:
            (way,) = view.ways
            surveyed = (await self._survey(way),)
            usable = self._path.usable(caller, way.link.server.name)
            if not at and not isinstance(usable, Refusable) and 0 < len(usable) <= _PAGE:
                return self._whole(usable, surveyed[0], view.era)
        entries: list[bytes] = []
        first = b""
        for way, found in zip(view.ways, surveyed, strict=True):
            if isinstance(found, BaseException):
                _left_out(way, found, is_only=not view.is_merged)
                continue
            first = first or found
            entries += self.shown(caller, way.link, is_merged=view.is_merged)
        if not entries and caller.invocation is None:
            answered = zip(view.ways, surveyed, strict=True)
            links = [way.link for way, one in answered if not isinstance(one, BaseException)]
            self._check_resolved(caller, links)
        if view.is_merged:
            entries += built_in.listed()
        page = entries[at : at + _PAGE]
        following = ""
        if at + _PAGE < len(entries):
            following = self._sealed(b"%d" % (at + _PAGE), bound)
        whole = listing.write(
            b"" if view.is_merged else first, "tools/list", page, following, _own(view.era)
        )
        return _completed_for(view.era, whole, "tools/list")

    def _whole(self, usable: Sequence[Registered], first: bytes, era: Era) -> bytes:
        """A list that is one page of one server; not written again while nothing changes.

        INVARIANT: the tools are kept with what was written of them, so that no others can have
        their `id`.
        """
        key = (id(usable), era)
        known = self._kept.get(key)
        if known is not None and known.first == first:
            return known.whole
        entries = [each.shown() for each in usable]
        whole = listing.write(first, "tools/list", entries, "", _own(era))
        whole = _completed_for(era, whole, "tools/list")
        if len(self._kept) >= _KEPT_MOST:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = _Kept(usable=usable, first=first, whole=whole)
        return whole

    def shown(self, caller: Caller, link: ToolLink, *, is_merged: bool) -> list[bytes]:
        """The tools of one server that the agent may use, as it sees them."""
        server = link.server.name
        found = self._path.usable(caller, server)
        if isinstance(found, Refusable):
            return []
        if not is_merged:
            return [each.shown() for each in found]
        return [listing.renamed(each.shown(), server) for each in found]

    def _check_resolved(self, caller: Caller, links: Sequence[ToolLink]) -> None:
        """An agent that may use tools of servers that answered must not silently have none."""
        agent = caller.runtime.agent
        declared = {pattern.partition("__")[0] for pattern in agent.scope.tools}
        listed = {
            link.server.name: self._registry.listed(link.organisation, link.server.name)
            for link in links
            if link.server.name in declared
        }
        servers = [name for name, tools in listed.items() if tools]
        if servers:
            every = (each for tools in listed.values() for each in tools)
            held = sum(each.state is not ToolState.OK for each in every)
            why = reason.no_tools_resolved(agent, servers, held)
            raise McpError(errors.REFUSED, why.message)

    def named(self, link: ToolLink, name: str, *, is_merged: bool) -> Registered | None:
        """The tool that a client calls by this name."""
        organisation, server = link.organisation, link.server.name
        if is_merged:
            known = self._registry.listed(organisation, server)
            name = names.own(name, [each.shown_name for each in known])
        return self._registry.named(organisation, server, name)

    async def known(self, way: Way) -> None:
        """See that the registry knows the server's tools. Raises FailedError, McpError."""
        if self._registry.source(way.link.organisation, way.link.server.name) is None:
            await self._survey(way)

    async def others(self, caller: Caller, view: View, method: str, cursor: str) -> bytes:
        """Resources, their templates or prompts: the servers' own pages, server after server."""
        view = msgspec.structs.replace(view, ways=self.open_to(caller, view.ways, method))
        if not view.is_merged and view.ways:
            (way,) = view.ways
            reply = await self._page(way, method, cursor)
            own = _own(view.era)
            if not own:
                return reply.result
            page = listing.read(reply.result, method)
            whole = listing.write(reply.result, method, page.entries, page.cursor, own)
            return _completed_for(view.era, whole, method)
        bound = self._bound(caller, method)
        at, inner = 0, ""
        if cursor:
            number, _, inner = self._opened(cursor, bound).partition("\n")
            at = int(number)
        while at < len(view.ways):
            way = view.ways[at]
            try:
                reply = await self._page(way, method, inner)
                page = listing.read(reply.result, method)
            except (FailedError, McpError, PeerError) as error:
                _left_out(way, error, is_only=False)
                at, inner = at + 1, ""
                continue
            whole = self._merged_page(view, method, at, page, bound)
            return _completed_for(view.era, whole, method)
        whole = listing.write(b"", method, (), "", _own(view.era))
        return _completed_for(view.era, whole, method)

    def open_to(self, caller: Caller, ways: Sequence[Way], method: str) -> list[Way]:
        """The servers which an agent could ask for what a method lists or listens to."""
        asks = _LISTS.get(method, method)
        return [way for way in ways if self._path.may_ask(caller, way.link.server.name, asks)]

    async def forwarded(self, way: Way, asked: Asked) -> Reply:
        """Ask a legacy server what its client asked. Raises FailedError, McpError."""
        channel = way.channel
        number = channel.number()
        method = asked.message.method
        params = asked.message.part("params") or b"{}"
        body = message.request(number, method, params)
        sending = Sending(body=body, number=number, method=method)
        return _checked(await ask(channel, sending, way.link.server.call_timeout_s))

    async def home_of(self, ways: Sequence[Way], asked: Asked) -> Way:
        """The server whose resource or prompt a request of the merged view is about.

        The first that lists it, else the first that has a template, else the first that has any.
        """
        uri = asked.name or _completed(asked)
        server = names.server_of(uri)
        for way in ways:
            if way.link.server.name == server:
                return way
        able = [way for way in ways if b'"resources"' in way.channel.capabilities]
        for way in able:
            listed = await self._uris(way, "resources/list", "uri")
            templates = await self._uris(way, "resources/templates/list", "uriTemplate")
            if uri in listed or any(_fits(uri, each) for each in templates):
                return way
        if not able:
            raise McpError(errors.METHOD_NOT_FOUND, "no server in view can do this")
        return able[0]

    async def _uris(self, way: Way, method: str, key: str) -> list[str]:
        try:
            reply = await self._page(way, method, "")
            page = listing.read(reply.result, method)
        except (FailedError, McpError, PeerError):
            return []
        return [listing.member(entry, key) for entry in page.entries]

    def _merged_page(self, view: View, method: str, at: int, page: Page, bound: bytes) -> bytes:
        entries: Sequence[bytes] = page.entries
        if method == "prompts/list":
            server = view.ways[at].link.server.name
            entries = [listing.renamed(entry, server) for entry in entries]
        following = ""
        if page.cursor:
            following = self._sealed(f"{at}\n{page.cursor}".encode(), bound)
        elif at + 1 < len(view.ways):
            following = self._sealed(b"%d\n" % (at + 1), bound)
        return listing.write(b"", method, entries, following, _own(view.era))

    async def _survey(self, way: Way) -> bytes:
        """Ask for all of a server's tools and tell the registry; gives the first page."""
        link = way.link
        replies = [await self._page(way, "tools/list", "")]
        known = self._registry.source(link.organisation, link.server.name)
        if known is not None and link.listed == (replies[0].result,):
            return link.listed[0]  # it was read when it came first, and is the only page
        page = listing.read(replies[0].result, "tools/list")
        pages = [page]
        while page.cursor and len(pages) < listing.PAGES_MOST:
            replies.append(await self._page(way, "tools/list", page.cursor))
            page = listing.read(replies[-1].result, "tools/list")
            pages.append(page)
        raws = tuple(reply.result for reply in replies)
        if raws != link.listed or known is None:
            version = identity.server_of(raws[0], way.channel.greeting)
            self._observe(way, [entry for each in pages for entry in each.entries], version)
            link.listed = raws
        return raws[0]

    def _observe(self, way: Way, entries: Sequence[bytes], version: str) -> None:
        server = way.link.server.name
        found = []
        for entry in entries:
            try:
                found.append(read_definition(server, entry))
            except PeerError as error:
                _LOG.warning("a tool of %s cannot be read and is not offered: %s", server, error)
        era = way.channel.era.value
        self._registry.observe(way.link.organisation, server, found, version, era)

    async def _page(self, way: Way, method: str, cursor: str) -> Reply:
        """One page of a server. Raises FailedError, and McpError if it answers with an error."""
        members = {"cursor": strict_json.encode(cursor)} if cursor else {}
        channel = way.channel
        number = channel.number()
        if channel.era is Era.MODERN:
            params = identity.params(way.meta or identity.OWN, members)
        else:
            params = b"{%b}" % b",".join(b'"%b":%b' % (k.encode(), v) for k, v in members.items())
        body = message.request(number, method, params)
        sending = Sending(body=body, number=number, method=method)
        reply = await ask(channel, sending, way.link.server.call_timeout_s)
        way.link.is_streaming = reply.how.is_stream and channel.era is Era.LEGACY
        return _checked(reply)

    def _bound(self, caller: Caller, method: str) -> bytes:
        return f"{caller.runtime.organisation.id}\n{caller.runtime.id}\n{method}".encode()

    def _sealed(self, content: bytes, bound: bytes) -> str:
        expires_us = self._clock.now_us() + _CURSOR_US
        return self._sealer.seal(content, bound, expires_us, self._nonce())

    def _opened(self, cursor: str, bound: bytes) -> str:
        content = self._sealer.open(cursor, bound, self._clock.now_us())
        if content is None:
            raise McpError(errors.INVALID_PARAMS, "the cursor is unknown or too old")
        return content.decode()


def _checked(reply: Reply) -> Reply:
    """An answer that is no error. Raises McpError."""
    if reply.error:
        fault = errors.read(reply.error)
        data = fault.data if bytes(fault.data) else None
        raise McpError(fault.code, fault.message, data, status=reply.status)
    return reply


class _Reference(msgspec.Struct):
    name: str = ""
    uri: str = ""


_reference: Final = msgspec.json.Decoder(_Reference)


def _completed(asked: Asked) -> str:
    """What a `completion/complete` is about."""
    try:
        found = _reference.decode(asked.part("ref") or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return found.name or found.uri


def _fits(uri: str, template: str) -> bool:
    """Whether an address may come from a template (RFC 6570), judged by its plain parts."""
    pattern = "".join(
        ".+" if part.startswith("{") else re.escape(part)
        for part in re.split(r"(\{[^}]*\})", template)
        if part
    )
    return uri == template or re.fullmatch(pattern, uri) is not None


def _own(era: Era) -> bytes:
    """What a list of ours says of itself: it depends on who asks, so nobody may share it."""
    if era is Era.LEGACY:
        return b""
    return b'"cacheScope":"private"'


def _completed_for(era: Era, result: bytes, method: str) -> bytes:
    return translation.completed(result, method) if era is Era.MODERN else result


def _left_out(way: Way, error: BaseException, *, is_only: bool) -> None:
    """A server that fails harms only itself; where it is the only one, that is the answer."""
    if not isinstance(error, (FailedError, McpError, RingfenceError)):
        raise error
    if is_only:
        raise error
    _LOG.warning("%s is left out of a list: %s", way.link.server.name, error)

"""Lists: asked of every server in reach, filtered for the agent, and put together."""

import asyncio
import logging
import re
from collections.abc import Callable, Sequence
from typing import Final, final

import msgspec

from ringfence.decisions import reason
from ringfence.domain.error import PeerError, RingfenceError
from ringfence.domain.tool import ToolKey, ToolState
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.live import Refusable
from ringfence.enforcement.tool_call import ToolPath
from ringfence.enforcement.tool_registry import Registered, ToolRegistry
from ringfence.gateways.tool import built_in
from ringfence.gateways.tool.asking import FailedError, Reply, ask
from ringfence.gateways.tool.channel import Sending
from ringfence.gateways.tool.server import ToolLink
from ringfence.gateways.tool.survey import Surveys
from ringfence.gateways.tool.way import Way, checked
from ringfence.gateways.tool.way import page as page_of
from ringfence.gateways.tool.written import WrittenLists
from ringfence.protocols.mcp import error as errors
from ringfence.protocols.mcp import listing, message, translation
from ringfence.protocols.mcp import name as names
from ringfence.protocols.mcp.error import McpError
from ringfence.protocols.mcp.listing import Page
from ringfence.protocols.mcp.request import Asked
from ringfence.protocols.mcp.sealing import Sealer
from ringfence.protocols.mcp.version import Era
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


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """What a client's address reaches: one server, or several under merged names."""

    ways: Sequence[Way]
    is_merged: bool
    era: Era


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
        self._written = WrittenLists()
        self.surveys = Surveys(registry, clock)

    async def tools(self, caller: Caller, reached: Reached, cursor: str) -> bytes:
        """The tools that the agent may use, as the result of `tools/list`.

        A server that does not answer is left out, and only it. Raises McpError for a wrong cursor,
        and where there is but one server and it fails.
        """
        surveyed = await self._surveyed(reached)
        usable = [self._usable(caller, way) for way, _ in surveyed]
        entries = sum(map(len, usable)) + (len(built_in.listed()) if reached.is_merged else 0)
        if not any(usable) and caller.invocation is None:
            self._check_resolved(caller, [way.link for way, _ in surveyed])
        if cursor or entries > _PAGE:
            return self._tools_page(caller, reached, surveyed, usable, cursor)
        first = b"" if reached.is_merged or not surveyed else surveyed[0][1]
        written = self._written.of(
            tuple(usable),
            first,
            reached.era,
            lambda: self._write(reached, first, self._entries(reached, usable), ""),
        )
        if reached.is_merged:
            return written.whole
        now_us = self._clock.monotonic_us()
        return written.holding(surveyed[0][0].link.left_ms(now_us))

    async def _surveyed(self, reached: Reached) -> list[tuple[Way, bytes]]:
        """The servers that answer, each with the first page of its tools."""
        if not reached.is_merged:
            (way,) = reached.ways
            return [(way, await self.surveys.survey(way))]
        found = await asyncio.gather(
            *(self.surveys.survey(way) for way in reached.ways), return_exceptions=True
        )
        surveyed: list[tuple[Way, bytes]] = []
        for way, first in zip(reached.ways, found, strict=True):
            if isinstance(first, BaseException):
                _left_out(way, first)
            else:
                surveyed.append((way, first))
        return surveyed

    def _tools_page(
        self,
        caller: Caller,
        reached: Reached,
        surveyed: Sequence[tuple[Way, bytes]],
        usable: Sequence[Sequence[Registered]],
        cursor: str,
    ) -> bytes:
        """One page of a list that is longer than one."""
        bound = self._bound(caller, "tools/list")
        at = 0 if not cursor else int(self._opened(cursor, bound))
        entries = self._entries(reached, usable)
        following = ""
        if at + _PAGE < len(entries):
            following = self._sealed(b"%d" % (at + _PAGE), bound)
        first = b"" if reached.is_merged or not surveyed else surveyed[0][1]
        return self._write(reached, first, entries[at : at + _PAGE], following)

    @staticmethod
    def _write(reached: Reached, first: bytes, entries: Sequence[bytes], following: str) -> bytes:
        whole = listing.write(first, "tools/list", entries, following, _own(reached.era))
        return _completed_for(reached.era, whole, "tools/list")

    def _usable(self, caller: Caller, way: Way) -> Sequence[Registered]:
        """The tools of one server that the agent may use."""
        found = self._path.usable(caller, way.link.server.name)
        return () if isinstance(found, Refusable) else found

    @staticmethod
    def _entries(reached: Reached, usable: Sequence[Sequence[Registered]]) -> list[bytes]:
        """The same as the agent sees them."""
        if not reached.is_merged:
            return [each.shown() for found in usable for each in found]
        merged = [
            listing.renamed(each.shown(), each.key.server) for found in usable for each in found
        ]
        return [*merged, *built_in.listed()]

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

    async def others(self, caller: Caller, reached: Reached, method: str, cursor: str) -> bytes:
        """Resources, their templates or prompts: the servers' own pages, server after server."""
        reached = msgspec.structs.replace(reached, ways=self.open_to(caller, reached.ways, method))
        if not reached.is_merged and reached.ways:
            (way,) = reached.ways
            reply = await page_of(way, method, cursor)
            own = _own(reached.era)
            if not own:
                return reply.result
            page = listing.read(reply.result, method)
            whole = listing.write(reply.result, method, page.entries, page.cursor, own)
            return _completed_for(reached.era, whole, method)
        bound = self._bound(caller, method)
        at, inner = 0, ""
        if cursor:
            number, _, inner = self._opened(cursor, bound).partition("\n")
            at = int(number)
        while at < len(reached.ways):
            way = reached.ways[at]
            try:
                reply = await page_of(way, method, inner)
                page = listing.read(reply.result, method)
            except (FailedError, McpError, PeerError) as error:
                _left_out(way, error)
                at, inner = at + 1, ""
                continue
            whole = self._merged_page(reached, method, at, page, bound)
            return _completed_for(reached.era, whole, method)
        whole = listing.write(b"", method, (), "", _own(reached.era))
        return _completed_for(reached.era, whole, method)

    @staticmethod
    def key_of(way: Way, method: str) -> ToolKey:
        """What scopes and policies are asked about for a method of a server."""
        return ToolKey(server=way.link.server.name, name=_LISTS.get(method, method))

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
        return checked(await ask(channel, sending, way.link.server.call_timeout_s))

    async def home_of(self, ways: Sequence[Way], asked: Asked) -> Way:
        """The server whose resource or prompt a request to `/mcp` is about.

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
            raise McpError(errors.METHOD_NOT_FOUND, "no server in reach can do this")
        return able[0]

    async def _uris(self, way: Way, method: str, key: str) -> list[str]:
        try:
            reply = await page_of(way, method, "")
            page = listing.read(reply.result, method)
        except (FailedError, McpError, PeerError):
            return []
        return [listing.member(entry, key) for entry in page.entries]

    def _merged_page(
        self, reached: Reached, method: str, at: int, page: Page, bound: bytes
    ) -> bytes:
        entries: Sequence[bytes] = page.entries
        if method == "prompts/list":
            server = reached.ways[at].link.server.name
            entries = [listing.renamed(entry, server) for entry in entries]
        following = ""
        if page.cursor:
            following = self._sealed(f"{at}\n{page.cursor}".encode(), bound)
        elif at + 1 < len(reached.ways):
            following = self._sealed(b"%d\n" % (at + 1), bound)
        return listing.write(b"", method, entries, following, _own(reached.era))

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


def _left_out(way: Way, error: BaseException) -> None:
    """A server that fails harms only itself."""
    if not isinstance(error, (FailedError, McpError, RingfenceError)):
        raise error
    _LOG.warning("%s is left out of a list: %s", way.link.server.name, error)

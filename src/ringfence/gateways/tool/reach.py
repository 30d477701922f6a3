"""Which servers, links and ways a POST to the tool gateway is about."""

import asyncio
import logging
from collections.abc import Sequence
from typing import final

from ringfence.decisions import reason as reasons
from ringfence.domain.error import RingfenceError
from ringfence.domain.tool import ToolKey, ToolServer
from ringfence.domain.verdict import Reason
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.tool_registry import ToolRegistry
from ringfence.gateways.tool import built_in
from ringfence.gateways.tool.ask import Ask, Target
from ringfence.gateways.tool.asking import FailedError
from ringfence.gateways.tool.channel import Channel
from ringfence.gateways.tool.listing import Lists
from ringfence.gateways.tool.post import Post, key_of
from ringfence.gateways.tool.server import ToolLink, ToolLinks, opened
from ringfence.gateways.tool.session import Session
from ringfence.gateways.tool.subscription import Subscriptions
from ringfence.gateways.tool.task import Tasks
from ringfence.gateways.tool.way import Way
from ringfence.protocols.mcp import error as errors
from ringfence.protocols.mcp import head as heads
from ringfence.protocols.mcp import name as names
from ringfence.protocols.mcp import request, task, translation
from ringfence.protocols.mcp.error import McpError
from ringfence.protocols.mcp.request import Asked
from ringfence.protocols.mcp.version import Era

_LOG = logging.getLogger(__name__)


def servers_at(caller: Caller, server: str) -> Sequence[ToolServer] | Reason:
    """The servers that an address reaches for this agent."""
    runtime = caller.runtime
    found = runtime.servers
    if not server:
        return found
    named = [each for each in found if each.name == server]
    if not named:
        known = [each.name for each in found]
        return reasons.out_of_scope(runtime.agent, "tool server", server, known)
    return named


@final
class Reach:
    """The servers, channels and names that a POST is about; one for each door."""

    def __init__(
        self,
        *,
        links: ToolLinks,
        lists: Lists,
        registry: ToolRegistry,
        subscriptions: Subscriptions,
        tasks: Tasks,
    ) -> None:
        """What it finds them in; `subscriptions` hear of each channel that a session opens."""
        self._links = links
        self._lists = lists
        self._registry = registry
        self._subscriptions = subscriptions
        self._tasks = tasks

    def link(self, post: Post, server: ToolServer) -> ToolLink:
        """The link to a server in reach. Raises McpError for one that was removed meanwhile."""
        link = self._links.find(post.caller.runtime.organisation, server.name)
        if link is None:
            raise McpError(errors.INTERNAL, "the tool server was removed")
        return link

    def link_named(self, post: Post, asked: Asked) -> ToolLink:
        """The server of a merged name. Raises McpError for one that is not in reach."""
        name = names.server_of(asked.name)
        for server in post.servers:
            if server.name == name:
                return self.link(post, server)
        raise McpError(errors.INVALID_PARAMS, f"there is no `{asked.name[:100]}` here")

    def link_of(self, post: Post, asked: Asked) -> ToolLink | None:
        """The server that a request is for; None if that must be found out, or if it is us."""
        if built_in.called_by(asked) is not None:
            return None
        if asked.message.method in task.METHODS:
            return self._link_of_task(post, asked)
        if post.server:
            return self.link(post, post.servers[0])
        if asked.message.method in {"tools/call", "prompts/get"}:
            return self.link_named(post, asked)
        if len(post.servers) == 1:
            return self.link(post, post.servers[0])
        return None

    def _link_of_task(self, post: Post, asked: Asked) -> ToolLink:
        server, _ = self._tasks.own(post.caller, asked.name)
        for each in post.servers:
            if each.name == server:
                return self.link(post, each)
        raise McpError(errors.INVALID_PARAMS, "there is no such task")

    def target(self, post: Post, asked: Asked, link: ToolLink, channel: Channel) -> Target:
        """What a request is about, as its server and as the path know it."""
        method, server = asked.message.method, link.server.name
        name = asked.name
        if method == "tools/call":
            found = self._lists.named(link, name, is_merged=not post.server)
            if found is not None:
                return Target(link=link, channel=channel, name=found.dispatched, key=found.key)
        if method in task.METHODS:
            _, name = self._tasks.own(post.caller, asked.name)
        elif not post.server and method in {"tools/call", "prompts/get"}:
            name = names.own(name, ())
        key = ToolKey(server=server, name=name if method == "tools/call" else method)
        return Target(link=link, channel=channel, name=name, key=key)

    def check_mirrored(self, ask: Ask, key: ToolKey) -> None:
        """Refuse headers that contradict arguments which a view will rewrite.

        Where none does, the server gets both as they are, and checks them. Raises McpError.
        """
        found = self._registry.find(ask.caller.runtime.organisation.id, key)
        if found is not None and found.view is not None:
            heads.check_mirrored(found.input_schema, ask.asked.arguments, ask.mirrored)

    async def other(self, post: Post, ask: Ask, key: ToolKey) -> Target:
        """The way to another tool, for the client of a call that needs it."""
        link = self._links.find(post.caller.runtime.organisation, key.server)
        if link is None:
            raise McpError(errors.INTERNAL, "the tool server was removed")
        way = await self.way(post, ask.asked, link, ask.era, ask.session)
        found = self._registry.find(post.caller.runtime.organisation.id, key)
        name = key.name if found is None else found.dispatched
        return Target(link=link, channel=way.channel, name=name, key=key)

    async def ways(self, post: Post, asked: Asked, era: Era, session: Session | None) -> list[Way]:
        """The channels to every server in reach; of several, those that can be reached."""
        links = [self.link(post, server) for server in post.servers]
        if post.server:
            return [await self.way(post, asked, links[0], era, session)]
        found = await asyncio.gather(
            *(self.way(post, asked, link, era, session) for link in links),
            return_exceptions=True,
        )
        ways: list[Way] = []
        for link, way in zip(links, found, strict=True):
            if isinstance(way, (RingfenceError, McpError, FailedError)):
                _LOG.warning("%s is left out: %s", link.server.name, way)
            elif isinstance(way, BaseException):
                raise way
            else:
                ways.append(way)
        return ways

    async def way(
        self, post: Post, asked: Asked, link: ToolLink, era: Era, session: Session | None
    ) -> Way:
        """The channel of this client to a server."""
        name = link.server.name
        if session is not None:
            meta = translation.meta_of(session.introduction, session.level)
            known = session.channels.get(name)
            if known is None:
                known = session.channels[name] = await opened(link, session.introduction)
                self._subscriptions.joined(session, link, known)
            return Way(link=link, channel=known, meta=meta)
        meta = {key: asked.said(key) for key in asked.meta if key.startswith(request.META)}
        if await link.era(era) is Era.MODERN:
            channel = link.modern(key_of(post, asked))
            return Way(link=link, channel=channel, meta=meta)
        channel = link.shared(key_of(post, asked), translation.introduction_of(asked))
        await channel.open()
        return Way(link=link, channel=channel)

"""Requests that wait: for a channel to their server, for its lists, or for another worker."""

from typing import final

from ringfence.domain.error import UnavailableError
from ringfence.gateways.tool import built_in
from ringfence.gateways.tool.answering import Answering, unavailable
from ringfence.gateways.tool.ask import Ask
from ringfence.gateways.tool.begin import Beginning, until_gone
from ringfence.gateways.tool.built_in import BuiltInCalls
from ringfence.gateways.tool.listing import Lists, Reached
from ringfence.gateways.tool.neighbour import Forwarder
from ringfence.gateways.tool.outlet import Outlet
from ringfence.gateways.tool.post import Post, key_of, knock_of
from ringfence.gateways.tool.reach import Reach
from ringfence.gateways.tool.server import ToolLink
from ringfence.gateways.tool.session import Session
from ringfence.protocols.mcp.request import Asked
from ringfence.protocols.mcp.version import Era
from ringfence.transport.clock import Clock


@final
class Late:
    """What requests of both eras do that cannot be answered or begun at once; one for each door."""

    def __init__(  # noqa: PLR0913 (the parts that it joins)
        self,
        *,
        answering: Answering,
        beginning: Beginning,
        built_in_calls: BuiltInCalls,
        lists: Lists,
        reach: Reach,
        forwarder: Forwarder,
        clock: Clock,
    ) -> None:
        """Join the parts."""
        self._answering = answering
        self._beginning = beginning
        self._built_in = built_in_calls
        self._lists = lists
        self._reach = reach
        self._forwarder = forwarder
        self._clock = clock

    async def begin(self, post: Post, ask: Ask, link: ToolLink) -> None:
        """Begin a request that must wait for its channel, or for the server's tools to be known."""
        if ask.session is None:
            await link.era(Era.MODERN)
            home = self.home(post, ask.asked, link)
            if home:
                await self.hand_over(post, ask.asked, home)
                return
        way = await self._reach.way(post, ask.asked, link, ask.era, ask.session)
        if ask.asked.message.method == "tools/call":
            await self._lists.surveys.known(way)
        target = self._reach.target(post, ask.asked, link, way.channel)
        await until_gone(self._beginning.begin(post, ask, target))

    async def seek(self, post: Post, ask: Ask) -> None:
        """Find the server that a request to `/mcp` is for; what is ours, is done here."""
        ours = built_in.called_by(ask.asked)
        if ours is not None:
            await self._built_in.call(ask, knock_of(post, ask, ours))
            return
        ways = await self._reach.ways(post, ask.asked, ask.era, ask.session)
        way = await self._lists.home_of(ways, ask.asked)
        target = self._reach.target(post, ask.asked, way.link, way.channel)
        await until_gone(self._beginning.begin(post, ask, target))

    async def list(
        self, post: Post, asked: Asked, era: Era, session: Session | None = None
    ) -> None:
        """Answer a method that lists."""
        ways = await self._reach.ways(post, asked, era, session)
        reached = Reached(ways=ways, is_merged=not post.server, era=era)
        method, cursor = asked.message.method, asked.text("cursor")
        if method == "tools/list":
            result = await self._lists.tools(post.caller, reached, cursor)
        else:
            result = await self._lists.others(post.caller, reached, method, cursor)
        outlet = Outlet(post.response, (), self._clock.monotonic_us())
        if session is not None and any(way.link.is_streaming for way in ways):
            outlet.open()
        outlet.answer(self._answering.shown(asked, result))

    async def hand_over(self, post: Post, asked: Asked, owner: int) -> None:
        """Let the worker answer that keeps what a modern request needs."""
        raw = asked.message.raw
        if not await self._forwarder.forward(owner, post.request, post.response, raw):
            error = UnavailableError("link_closed", "the part of Ringfence that keeps it is away")
            self._answering.refuse(post, asked, unavailable(error))

    def home(self, post: Post, asked: Asked, link: ToolLink) -> int:
        """The worker that keeps a server's state for this client; 0 if that is this one."""
        if not link.keeps_state:
            return 0
        home = self._forwarder.neighbours.home_of((link.server.name, *key_of(post, asked)))
        return home if self._forwarder.is_foreign(home, post.request) else 0

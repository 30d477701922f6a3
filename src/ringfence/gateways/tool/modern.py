"""Requests of the modern era (2026-07-28), which has no sessions."""

from typing import Final, final

import msgspec

from ringfence.gateways.tool.answering import Answering
from ringfence.gateways.tool.ask import Ask, Means, owner_of
from ringfence.gateways.tool.begin import Beginning, Going
from ringfence.gateways.tool.governed import Governed
from ringfence.gateways.tool.greeting import Greetings
from ringfence.gateways.tool.late import Late
from ringfence.gateways.tool.listing import Lists
from ringfence.gateways.tool.neighbour import Forwarder
from ringfence.gateways.tool.outlet import JSON, Outlet
from ringfence.gateways.tool.post import Post, ask_of, key_of
from ringfence.gateways.tool.reach import Reach
from ringfence.gateways.tool.rounds import POINTED, Pointed, Suspended
from ringfence.gateways.tool.subscription import Subscriptions, read_filter
from ringfence.gateways.tool.way import Way
from ringfence.protocols.mcp import error as errors
from ringfence.protocols.mcp import head as heads
from ringfence.protocols.mcp import request
from ringfence.protocols.mcp.error import McpError
from ringfence.protocols.mcp.listing import MEMBER
from ringfence.protocols.mcp.request import Asked
from ringfence.protocols.mcp.sealing import Sealer
from ringfence.protocols.mcp.version import Era

_REMOVED: Final = frozenset(
    {"initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"}
)
"""Methods that this era does not have."""


@final
class ModernEra:
    """One for each door."""

    def __init__(  # noqa: PLR0913 (the parts that it joins)
        self,
        *,
        means: Means,
        answering: Answering,
        beginning: Beginning,
        late: Late,
        reach: Reach,
        greetings: Greetings,
        subscriptions: Subscriptions,
        lists: Lists,
        governed: Governed,
        forwarder: Forwarder,
    ) -> None:
        """Join the parts."""
        self._means = means
        self._answering = answering
        self._beginning = beginning
        self._late = late
        self._reach = reach
        self._greetings = greetings
        self._subscriptions = subscriptions
        self._lists = lists
        self._governed = governed
        self._forwarder = forwarder

    def take(self, post: Post, asked: Asked) -> Going:  # noqa: PLR0911 (each kind its own way)
        """Begin to answer one request. Raises McpError."""
        heads.check(asked, post.stated)
        request.check_modern(asked)
        heads.check_version(asked)
        method = asked.message.method
        if method in _REMOVED:
            raise McpError(errors.METHOD_NOT_FOUND, f"there is no method `{method}`")
        ask = ask_of(post, asked, Era.MODERN)
        if method == "server/discover":
            return self._answering.guarded(post, asked, self._discover(post, asked))
        if method == "subscriptions/listen":
            return self._answering.guarded(post, asked, self._subscribe(post, asked))
        if method in MEMBER:
            return self._answering.guarded(post, asked, self._late.list(post, asked, Era.MODERN))
        resumed = self._resumed(ask)
        if isinstance(resumed, Pointed):
            ask, resumed = msgspec.structs.replace(ask, is_pointed=True), None
        if isinstance(resumed, int):
            return self._answering.guarded(post, asked, self._late.hand_over(post, asked, resumed))
        if resumed is not None:
            home = (
                self._reach.link(post, post.servers[0])
                if post.server
                else self._reach.link_named(post, asked)
            )
            target = self._reach.target(post, asked, home, resumed.channel)
            return self._beginning.begin(post, ask, target, resumed)
        link = self._reach.link_of(post, asked)
        if link is None:
            return self._answering.guarded(post, asked, self._late.seek(post, ask))
        era = link.era_at_once(Era.MODERN)
        if era is Era.MODERN and link.is_known and not self._late.home(post, asked, link):
            return self._beginning.begin(
                post, ask, self._reach.target(post, asked, link, link.modern(key_of(post, asked)))
            )
        return self._answering.guarded(post, asked, self._late.begin(post, ask, link))

    def _resumed(self, ask: Ask) -> Suspended | Pointed | int | None:
        """The call that a modern client goes on with, or the worker that has it.

        None for a state that is not ours.
        """
        state = ask.asked.text("requestState")
        if not state or not Sealer.is_ours(state):
            return None
        owner = owner_of(ask)
        bound = "\n".join(owner).encode()
        opened_ = self._means.sealer.open(state, bound, self._means.clock.now_us())
        name = "" if opened_ is None else opened_.decode()
        if name == POINTED.name:
            return POINTED
        home = self._forwarder.neighbours.owner_of(name)
        if self._forwarder.is_foreign(home, ask.request):
            return home
        found = self._means.waiting.take(name, owner)
        if found is None:
            what = "the request state is unknown, too old, or not of this request"
            raise McpError(errors.INVALID_PARAMS, what)
        return found

    async def _discover(self, post: Post, asked: Asked) -> None:
        ways = await self._reach.ways(post, asked, Era.MODERN, None)
        meta = {key: asked.said(key) for key in asked.meta}
        result = await self._greetings.discovered(ways, meta, is_merged=not post.server)
        post.response.send(200, [JSON], self._answering.shown(asked, result))

    async def _subscribe(self, post: Post, asked: Asked) -> None:
        ways = await self._reach.ways(post, asked, Era.MODERN, None)
        wanted = read_filter(asked)
        method = "resources/subscribe" if wanted.uris else "subscriptions/listen"
        heard: list[Way] = []
        for way in self._lists.open_to(post.caller, ways, method):
            key = self._lists.key_of(way, method)
            if await self._governed.do(post, asked, key) is not None:
                heard.append(way)
        outlet = Outlet(post.response, (), self._means.clock.monotonic_us())
        await self._subscriptions.run(asked, wanted, ways, heard, outlet)

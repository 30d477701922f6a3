"""Requests of the legacy eras (2025-11-25 and older), which belong to sessions."""

from collections.abc import Callable
from typing import Final, final

from ringfence.enforcement.directory import Caller
from ringfence.gateways.tool.answering import Answering
from ringfence.gateways.tool.background import background
from ringfence.gateways.tool.begin import Beginning, Going
from ringfence.gateways.tool.governed import Governed
from ringfence.gateways.tool.greeting import Greetings
from ringfence.gateways.tool.late import Late
from ringfence.gateways.tool.listing import Lists
from ringfence.gateways.tool.outlet import JSON, Outlet
from ringfence.gateways.tool.post import Post, ask_of
from ringfence.gateways.tool.reach import Reach
from ringfence.gateways.tool.session import Session, Sessions
from ringfence.gateways.tool.subscription import Open, Subscriptions
from ringfence.gateways.tool.way import Way
from ringfence.protocols.mcp import error as errors
from ringfence.protocols.mcp import message, request, translation
from ringfence.protocols.mcp.error import McpError
from ringfence.protocols.mcp.listing import MEMBER
from ringfence.protocols.mcp.message import Kind, Message
from ringfence.protocols.mcp.request import Asked
from ringfence.protocols.mcp.version import LEGACY, Era
from ringfence.transport.clock import Clock
from ringfence.transport.http import Request, Response
from ringfence.transport.work import until_over

_NOTED: Final = frozenset({"notifications/progress", "notifications/roots/list_changed"})
"""Notifications of a client that its servers get. INVARIANT: what the protocol does not know goes
to no server, since nobody has decided on it and no record would show it."""


@final
class LegacyEra:
    """One for each door."""

    def __init__(  # noqa: PLR0913 (the parts that it joins)
        self,
        *,
        sessions: Sessions,
        answering: Answering,
        beginning: Beginning,
        late: Late,
        reach: Reach,
        lists: Lists,
        greetings: Greetings,
        subscriptions: Subscriptions,
        governed: Governed,
        clock: Clock,
        session_name: Callable[[], str],
    ) -> None:
        """Join the parts; `session_name` makes names that nobody can guess."""
        self._sessions = sessions
        self._answering = answering
        self._beginning = beginning
        self._late = late
        self._reach = reach
        self._lists = lists
        self._greetings = greetings
        self._subscriptions = subscriptions
        self._governed = governed
        self._clock = clock
        self._session_name = session_name

    def take(self, post: Post, asked: Asked) -> Going:  # noqa: PLR0911 (each kind its own way)
        """Begin to answer one request. Raises McpError."""
        method = asked.message.method
        if method == "initialize":
            return self._answering.guarded(post, asked, self._initialize(post, asked))
        session = self._session(post)
        if session is None:
            if post.request.header(b"mcp-session-id") is None:
                raise McpError(errors.INVALID_REQUEST, "initialize first", status=400)
            raise McpError(errors.REFUSED, "the session is over; initialize again", status=404)
        if method == "ping":
            post.response.send(200, [JSON], message.response(asked.message.id, b"{}"))
            return None
        if method in MEMBER:
            return self._answering.guarded(
                post, asked, self._late.list(post, asked, Era.LEGACY, session)
            )
        if method == "logging/setLevel":
            return self._answering.guarded(post, asked, self._set_level(post, asked, session))
        if method in {"resources/subscribe", "resources/unsubscribe"}:
            return self._answering.guarded(post, asked, self._watch(post, asked, session))
        ask = ask_of(post, asked, Era.LEGACY, session)
        link = self._reach.link_of(post, asked)
        if link is None:
            return self._answering.guarded(post, asked, self._late.seek(post, ask))
        channel = session.channels.get(link.server.name)
        if channel is not None and link.is_known:
            return self._beginning.begin(post, ask, self._reach.target(post, asked, link, channel))
        return self._answering.guarded(post, asked, self._late.begin(post, ask, link))

    def heed(self, post: Post, said_: Message) -> Going:
        """Take a notification, or the client's answer to a question. Raises McpError."""
        session = self._session(post)
        if session is None:
            # A modern client has nothing to notify over HTTP; its version says that it is one.
            if post.request.header(b"mcp-session-id") is not None:
                raise McpError(errors.REFUSED, "the session is over", status=404)
            post.response.send(202, (), b"")
            return None
        if said_.kind is Kind.RESPONSE:
            session.take(said_)
        elif said_.method == "notifications/cancelled":
            asked = request.read(said_)
            call = session.calls.get(asked.part("requestId"))
            if call is not None:
                call.give_up()
        elif said_.method in _NOTED:
            for channel in session.channels.values():
                background(channel.tell(said_.raw))
        post.response.send(202, (), b"")
        return None

    async def _initialize(self, post: Post, asked: Asked) -> None:
        version = asked.text("protocolVersion")
        introduction = asked.message.part("params") or b"{}"
        session = Session(
            name=self._session_name(),
            caller=post.caller,
            server=post.server,
            introduction=introduction,
            version=version if version in LEGACY else LEGACY[-1],
        )
        meta = translation.meta_of(introduction, b"")
        if post.server:
            way = await self._reach.way(
                post, asked, self._reach.link(post, post.servers[0]), Era.LEGACY, session
            )
            result = await self._greetings.of_one(way, meta, session)
        else:
            ways = await self._reach.ways(post, asked, Era.LEGACY, session)
            result = await self._greetings.of_many(ways, meta, session)
        dropped = self._sessions.add(session, self._clock.monotonic_us())
        if dropped is not None:
            background(dropped.close())
        headers = [JSON, (b"mcp-session-id", session.name.encode())]
        post.response.send(200, headers, self._answering.shown(asked, result))

    async def _set_level(self, post: Post, asked: Asked, session: Session) -> None:
        session.level = asked.part("level")
        result = b"{}"
        ways = await self._reach.ways(post, asked, Era.LEGACY, session)
        for way in self._lists.open_to(post.caller, ways, asked.message.method):
            if way.channel.era is Era.LEGACY and b'"logging"' in way.channel.capabilities:
                result = await self._done(post, asked, way) or result
        post.response.send(200, [JSON], self._answering.shown(asked, result))

    async def _watch(self, post: Post, asked: Asked, session: Session) -> None:
        uri = asked.text("uri")
        is_begun = asked.message.method == "resources/subscribe"
        ways = await self._reach.ways(post, asked, Era.LEGACY, session)
        ways = self._lists.open_to(post.caller, ways, asked.message.method)
        result, fault = b"", McpError(errors.INVALID_PARAMS, "no server has this resource")
        for way in ways:
            try:
                found = await self._done(post, asked, way)
            except McpError as error:
                fault = error
                continue
            if found is None:
                continue
            result = found
            if is_begun:
                session.uris[uri] = way.link.server.name
            else:
                session.uris.pop(uri, None)
            self._subscriptions.restand(session, way)
            break
        if not result:
            raise fault
        post.response.send(200, [JSON], self._answering.shown(asked, result))

    async def _done(self, post: Post, asked: Asked, way: Way) -> bytes | None:
        """A server's answer to what is no call; None if it may not be asked. Raises McpError."""
        key = self._lists.key_of(way, asked.message.method)

        async def act() -> bytes:
            if way.channel.era is Era.MODERN:
                return b"{}"  # it is told so with the session's own subscription
            return (await self._lists.forwarded(way, asked)).result

        return await self._governed.do(post, asked, key, act)

    def listen(self, caller: Caller, request: Request, response: Response, server: str) -> Going:
        """A legacy client's standing stream, or the rest of one that was left."""
        name = (request.header(b"mcp-session-id") or b"").decode("latin-1")
        now_us = self._clock.monotonic_us()
        session = self._sessions.find(name, caller, server, now_us)
        if session is None:
            status = 404 if name else 405
            headers = [] if name else [(b"allow", b"POST")]
            response.send(status, headers, b"")
            return None
        outlet = Outlet(response, (), now_us)
        last = request.header(b"last-event-id")
        call = None if last is None else session.streams.get(last.partition(b"-")[0])
        if call is not None:
            call.resume(outlet)
            return Open(outlet)
        return self._attach(session, outlet)

    async def _attach(self, session: Session, outlet: Outlet) -> None:
        await self._subscriptions.stand(session)
        session.attach(outlet)
        await until_over(Open(outlet))

    def leave(self, caller: Caller, request: Request, response: Response, server: str) -> Going:
        """End the session that a client names."""
        name = (request.header(b"mcp-session-id") or b"").decode("latin-1")
        session = self._sessions.find(name, caller, server, self._clock.monotonic_us())
        if session is None:
            response.send(404, (), b"")
            return None
        self._sessions.remove(session)
        background(session.close())
        response.send(200, (), b"")
        return None

    def _session(self, post: Post) -> Session | None:
        name = (post.request.header(b"mcp-session-id") or b"").decode("latin-1")
        now_us = self._clock.monotonic_us()
        return self._sessions.find(name, post.caller, post.server, now_us)

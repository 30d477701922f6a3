"""The tool gateway's door: `/mcp/{server}` and `/mcp`, for MCP clients of both eras.

It translates and decides nothing: what may happen is asked of `ToolPath` and the registry.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, final

from ringfence.domain.error import PeerError, RingfenceError, UnavailableError
from ringfence.domain.tool import ToolServer
from ringfence.domain.verdict import Code, Deny, Reason, Throttle
from ringfence.enforcement.allowance import Allowance
from ringfence.enforcement.approval import Approvals
from ringfence.enforcement.authority import Authority
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.refusal import Attempted, RefusedAction, reason_of
from ringfence.enforcement.tool_call import ToolPath
from ringfence.enforcement.tool_finish import ToolFinish
from ringfence.enforcement.tool_registry import ToolRegistry
from ringfence.gateways.answer import answer_refusal, client_of
from ringfence.gateways.head import Head
from ringfence.gateways.model.buffer import read_request, request_at_once
from ringfence.gateways.tool import built_in, said
from ringfence.gateways.tool.ask import Ask, Means, owner_of
from ringfence.gateways.tool.asking import FailedError
from ringfence.gateways.tool.background import background, settled
from ringfence.gateways.tool.begin import Beginning, Going
from ringfence.gateways.tool.built_in import BuiltInCalls
from ringfence.gateways.tool.courier import failed
from ringfence.gateways.tool.greeting import Greetings
from ringfence.gateways.tool.held import HeldClients
from ringfence.gateways.tool.listing import Lists, View
from ringfence.gateways.tool.neighbour import Forwarder
from ringfence.gateways.tool.outlet import JSON, Outlet
from ringfence.gateways.tool.post import Post, era_of, key_of, knock_of
from ringfence.gateways.tool.reach import Reach, in_view
from ringfence.gateways.tool.rounds import Suspended, Waiting
from ringfence.gateways.tool.server import ToolLink, ToolLinks
from ringfence.gateways.tool.session import Session, Sessions
from ringfence.gateways.tool.subscription import Open, Subscriptions
from ringfence.protocols.mcp import error as errors
from ringfence.protocols.mcp import head as heads
from ringfence.protocols.mcp import message, request, translation
from ringfence.protocols.mcp.error import McpError
from ringfence.protocols.mcp.listing import MEMBER
from ringfence.protocols.mcp.message import Kind, Message
from ringfence.protocols.mcp.request import Asked
from ringfence.protocols.mcp.sealing import Sealer
from ringfence.protocols.mcp.version import LEGACY, Era
from ringfence.transport.clock import Clock
from ringfence.transport.http import Request, Response
from ringfence.transport.work import until_over

PATH: Final = b"/mcp"
_REQUEST_BYTES: Final = 16 * 1024 * 1024
_BODY_S: Final = 30.0
_REMOVED: Final = frozenset(
    {"initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"}
)
"""Methods that the modern era does not have."""
_LOCAL: Final = frozenset({b"localhost", b"127.0.0.1", b"[::1]"})

_NOTED: Final = frozenset({"notifications/progress", "notifications/roots/list_changed"})
"""Notifications of a client that its servers get. INVARIANT: what the protocol does not know goes
to no server, since nobody has decided on it and no record would show it."""


@final
class ToolDoor:
    """Answers every request under `/mcp`; one for each worker."""

    def __init__(  # noqa: PLR0913 (the parts that the door joins)
        self,
        *,
        path: ToolPath,
        registry: ToolRegistry,
        links: ToolLinks,
        finish: ToolFinish,
        clock: Clock,
        authority: Authority,
        sealer: Sealer,
        forwarder: Forwarder,
        secret: Callable[[str], str],
        nonce: Callable[[], bytes],
        approvals: Approvals | None = None,
        allowance: Allowance | None = None,
    ) -> None:
        """`secret` makes unguessable names and `nonce` random bytes for a seal."""
        self._path = path
        self._links = links
        self._clock = clock
        self._allowance = allowance or Allowance()
        self._secret = secret
        self.sessions = Sessions()
        self._waiting = Waiting()
        self._lists = Lists(path=path, registry=registry, sealer=sealer, clock=clock, nonce=nonce)
        self._subscriptions = Subscriptions(clock, path.inspections.shows_secret)
        self._reach = Reach(
            links=links, lists=self._lists, registry=registry, subscriptions=self._subscriptions
        )
        self._greetings = Greetings()
        self._held = HeldClients(path, approvals, clock)
        self._built_in = BuiltInCalls(path, self._held, authority, clock)
        self._sealer = sealer
        self._forwarder = forwarder
        means = Means(
            path=path,
            clock=clock,
            authority=authority,
            sealer=sealer,
            number=forwarder.neighbours.number,
            waiting=self._waiting,
            failed=failed,
            secret=secret,
            nonce=nonce,
        )
        self._beginning = Beginning(means=means, finish=finish, held=self._held, reach=self._reach)

    @staticmethod
    def serves(path: bytes) -> bool:
        """Whether a path belongs to this door."""
        return path == PATH or path.startswith(PATH + b"/")

    def handle(self, caller: Caller, request: Request, response: Response, head: Head) -> Going:
        """Begin to answer one request of a caller who is known."""
        if is_foreign(request.header(b"origin")):
            response.send(403, [JSON], errors.document(b"", errors.REFUSED, _FOREIGN))
            return None
        server = request.path[len(PATH) + 1 :].decode("latin-1")
        view = in_view(caller, server)
        if isinstance(view, Reason):
            self._deny(caller, request, response, view)
            return None
        named = (request.header(b"mcp-session-id") or b"").decode("latin-1")
        owner = self._forwarder.neighbours.owner_of(named)
        if self._forwarder.is_foreign(owner, request):
            return self._hand_over_session(owner, request, response)
        return self._routed(caller, request, response, head, server, view)

    async def _hand_over_session(self, owner: int, request: Request, response: Response) -> None:
        """Let the worker answer whose session it is."""
        body = await request.read(_REQUEST_BYTES)
        if not await self._forwarder.forward(owner, request, response, body):
            raw = errors.document(b"", errors.REFUSED, _OVER)
            response.send(404, [JSON], raw)

    async def _hand_over(self, post: Post, asked: Asked, owner: int) -> None:
        """Let the worker answer that keeps what a modern request needs."""
        raw = asked.message.raw
        if not await self._forwarder.forward(owner, post.request, post.response, raw):
            error = UnavailableError("link_closed", "the part of Ringfence that keeps it is away")
            self._refuse(post, asked, _unavailable(error))

    def _home(self, post: Post, asked: Asked, link: ToolLink) -> int:
        """The worker that keeps a server's state for this client; 0 if that is this one."""
        if not link.keeps_state:
            return 0
        home = self._forwarder.neighbours.home_of((link.server.name, *key_of(post, asked)))
        return home if self._forwarder.is_foreign(home, post.request) else 0

    def _routed(  # noqa: PLR0913, PLR0917 (a request and what is known of it)
        self,
        caller: Caller,
        request: Request,
        response: Response,
        head: Head,
        server: str,
        view: Sequence[ToolServer],
    ) -> Going:
        if request.method == b"POST":
            return self._post(caller, request, response, head, server, view)
        if request.method == b"GET":
            return self._listen(caller, request, response, server)
        if request.method == b"DELETE":
            return self._leave(caller, request, response, server)
        response.send(405, [(b"allow", b"GET, POST, DELETE")], b"")
        return None

    def tidy(self) -> None:
        """End what nobody uses any more, and keep alive who waits; called every few seconds."""
        now_us = self._clock.monotonic_us()
        for session in self.sessions.idle(now_us):
            background(session.close())
        for session in self.sessions.all():
            if session.outlet is not None:
                session.outlet.keep_alive(now_us)
        self._subscriptions.keep_alive(now_us)
        self._links.tidy(asyncio.get_running_loop().time())

    def drain(self) -> None:
        """The plane stops: end the streams that would last for ever; calls may still end."""
        for session in self.sessions.all():
            if session.outlet is not None:
                session.outlet.leave()
        self._subscriptions.drain()

    async def close(self) -> None:
        """End every session, here and with servers."""
        self._waiting.close()
        for session in self.sessions.all():
            await session.close()
        await self._links.close()
        await settled()

    # Messages

    def _post(  # noqa: PLR0913, PLR0917 (a request and what is known of it)
        self,
        caller: Caller,
        request: Request,
        response: Response,
        head: Head,
        server: str,
        view: Sequence[ToolServer],
    ) -> Going:
        hold = self._allowance.enter(caller)
        if isinstance(hold, Throttle):
            self._answer(request, response, RefusedAction(verdict=hold, action=""))
            return None
        post = Post(
            caller=caller,
            request=request,
            response=response,
            head=head,
            server=server,
            view=view,
            hold=hold,
        )
        going: Going = None
        try:
            body = request_at_once(request, _REQUEST_BYTES, hold)
            going = self._read_late(post) if body is None else self._read(post, body)
        except PeerError as error:
            self._deny(caller, request, response, reason_of(error))
        finally:
            if going is None:
                hold.leave()
        return going

    async def _read_late(self, post: Post) -> None:
        going: Going = None
        try:
            async with asyncio.timeout(_BODY_S):
                body = await read_request(post.request, _REQUEST_BYTES, post.hold)
            going = self._read(post, body)
        except TimeoutError:
            what = f"its body did not come within {_BODY_S:g} seconds"
            late = PeerError(Code.REQUEST_MALFORMED, what)
            self._deny(post.caller, post.request, post.response, reason_of(late))
        except PeerError as error:
            self._deny(post.caller, post.request, post.response, reason_of(error))
        finally:
            if going is None:
                post.hold.leave()
        await _until_gone(going)

    def _read(self, post: Post, body: bytes | Throttle) -> Going:
        if isinstance(body, Throttle):
            self._answer(post.request, post.response, RefusedAction(verdict=body, action=""))
            return None
        number = b""
        try:
            said_ = message.read(body)
            number = said_.id
            if said_.kind is not Kind.REQUEST:
                return self._take(post, said_)
            asked = request.read(said_)
            if era_of(post, asked) is Era.MODERN:
                return self._modern(post, asked)
            return self._legacy(post, asked)
        except McpError as error:
            self._say_error(post, number, error)
            return None

    def _shown(self, asked: Asked, result: bytes) -> bytes:
        """The answer around a server's result. Raises McpError for one that shows a secret (I5)."""
        if self._path.inspections.shows_secret(result):
            fault = errors.read(said.WITHHELD)
            raise McpError(fault.code, fault.message)
        return message.response(asked.message.id, result)

    def _say_error(self, post: Post, number: bytes, error: McpError) -> None:
        raw = errors.document(number, error.code, error.message, error.data)
        if self._path.inspections.shows_secret(raw):
            fault = errors.read(said.WITHHELD)
            raw = errors.document(number, fault.code, fault.message)
        status = error.status if error.status != 200 else 200  # noqa: PLR2004 (a status)
        if not post.response.is_started and not post.response.is_disconnected:
            post.response.send(status, [JSON], raw)

    def _take(self, post: Post, said_: Message) -> Going:
        """A notification, or the client's answer to a question."""
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

    # The modern era

    def _modern(  # noqa: PLR0911 (each kind of request goes its own way)
        self, post: Post, asked: Asked
    ) -> Going:
        heads.check(asked, post.request.headers)
        request.check_modern(asked)
        heads.check_version(asked)
        method = asked.message.method
        if method in _REMOVED:
            raise McpError(errors.METHOD_NOT_FOUND, f"there is no method `{method}`")
        ask = self._ask(post, asked, Era.MODERN, None)
        if method == "server/discover":
            return self._guarded(post, asked, self._discover(post, asked))
        if method == "subscriptions/listen":
            return self._guarded(post, asked, self._subscribe(post, asked))
        if method in MEMBER:
            return self._guarded(post, asked, self._list(post, asked, Era.MODERN, None))
        resumed = self._resumed(ask)
        if isinstance(resumed, int):
            return self._guarded(post, asked, self._hand_over(post, asked, resumed))
        if resumed is not None:
            home = (
                self._reach.link(post, post.view[0])
                if post.server
                else self._reach.link_named(post, asked)
            )
            target = self._reach.target(post, asked, home, resumed.channel)
            return self._beginning.begin(post, ask, target, resumed)
        link = self._reach.link_of(post, asked)
        if link is None:
            return self._guarded(post, asked, self._seek(post, ask))
        era = link.era_at_once(Era.MODERN)
        if era is Era.MODERN and self._is_known(link) and not self._home(post, asked, link):
            return self._beginning.begin(
                post, ask, self._reach.target(post, asked, link, link.modern(key_of(post, asked)))
            )
        return self._guarded(post, asked, self._begin_late(post, ask, link))

    def _resumed(self, ask: Ask) -> Suspended | int | None:
        """The call that a modern client goes on with, or the worker that has it.

        None for a state that is not ours.
        """
        state = ask.asked.text("requestState")
        if not state or not Sealer.is_ours(state):
            return None
        owner = owner_of(ask)
        bound = "\n".join(owner).encode()
        opened_ = self._sealer.open(state, bound, self._clock.now_us())
        name = "" if opened_ is None else opened_.decode()
        home = self._forwarder.neighbours.owner_of(name)
        if self._forwarder.is_foreign(home, ask.request):
            return home
        found = self._waiting.take(name, owner)
        if found is None:
            what = "the request state is unknown, too old, or not of this request"
            raise McpError(errors.INVALID_PARAMS, what)
        return found

    async def _discover(self, post: Post, asked: Asked) -> None:
        ways = await self._reach.ways(post, asked, Era.MODERN, None)
        meta = {key: asked.said(key) for key in asked.meta}
        result = await self._greetings.discovered(ways, meta, is_merged=not post.server)
        post.response.send(200, [JSON], self._shown(asked, result))

    async def _subscribe(self, post: Post, asked: Asked) -> None:
        ways = await self._reach.ways(post, asked, Era.MODERN, None)
        outlet = Outlet(post.response, (), self._clock.monotonic_us())
        await self._subscriptions.run(asked, ways, outlet)

    # The legacy era

    def _legacy(  # noqa: PLR0911 (each kind of request goes its own way)
        self, post: Post, asked: Asked
    ) -> Going:
        method = asked.message.method
        if method == "initialize":
            return self._guarded(post, asked, self._initialize(post, asked))
        session = self._session(post)
        if session is None:
            if post.request.header(b"mcp-session-id") is None:
                raise McpError(errors.INVALID_REQUEST, "initialize first", status=400)
            raise McpError(errors.REFUSED, "the session is over; initialize again", status=404)
        if method == "ping":
            post.response.send(200, [JSON], message.response(asked.message.id, b"{}"))
            return None
        if method in MEMBER:
            return self._guarded(post, asked, self._list(post, asked, Era.LEGACY, session))
        if method == "logging/setLevel":
            return self._guarded(post, asked, self._set_level(post, asked, session))
        if method in {"resources/subscribe", "resources/unsubscribe"}:
            return self._guarded(post, asked, self._watch(post, asked, session))
        ask = self._ask(post, asked, Era.LEGACY, session)
        link = self._reach.link_of(post, asked)
        if link is None:
            return self._guarded(post, asked, self._seek(post, ask))
        channel = session.channels.get(link.server.name)
        if channel is not None and self._is_known(link):
            return self._beginning.begin(post, ask, self._reach.target(post, asked, link, channel))
        return self._guarded(post, asked, self._begin_late(post, ask, link))

    async def _initialize(self, post: Post, asked: Asked) -> None:
        version = asked.text("protocolVersion")
        introduction = asked.message.part("params") or b"{}"
        session = Session(
            name=self._secret(f"{self._forwarder.neighbours.number}."),
            caller=post.caller,
            server=post.server,
            introduction=introduction,
            version=version if version in LEGACY else LEGACY[-1],
        )
        meta = translation.meta_of(introduction, b"")
        if post.server:
            way = await self._reach.way(
                post, asked, self._reach.link(post, post.view[0]), Era.LEGACY, session
            )
            result = await self._greetings.of_one(way, meta, session)
        else:
            ways = await self._reach.ways(post, asked, Era.LEGACY, session)
            result = await self._greetings.of_many(ways, meta, session)
        dropped = self.sessions.add(session, self._clock.monotonic_us())
        if dropped is not None:
            background(dropped.close())
        headers = [JSON, (b"mcp-session-id", session.name.encode())]
        post.response.send(200, headers, self._shown(asked, result))

    async def _set_level(self, post: Post, asked: Asked, session: Session) -> None:
        session.level = asked.part("level")
        result = b"{}"
        for way in await self._reach.ways(post, asked, Era.LEGACY, session):
            if way.channel.era is Era.LEGACY and b'"logging"' in way.channel.capabilities:
                reply = await self._lists.forwarded(way, asked)
                result = reply.result
        post.response.send(200, [JSON], self._shown(asked, result))

    async def _watch(self, post: Post, asked: Asked, session: Session) -> None:
        uri = asked.text("uri")
        is_begun = asked.message.method == "resources/subscribe"
        ways = await self._reach.ways(post, asked, Era.LEGACY, session)
        ways = self._lists.open_to(post.caller, ways, asked.message.method)
        result, fault = b"", McpError(errors.INVALID_PARAMS, "no server has this resource")
        for way in ways:
            if way.channel.era is Era.MODERN:
                result = b"{}"
            else:
                try:
                    result = (await self._lists.forwarded(way, asked)).result
                except McpError as error:
                    fault = error
                    continue
            if is_begun:
                session.uris[uri] = way.link.server.name
            else:
                session.uris.pop(uri, None)
            self._subscriptions.restand(session, way)
            break
        if not result:
            raise fault
        post.response.send(200, [JSON], self._shown(asked, result))

    def _listen(self, caller: Caller, request: Request, response: Response, server: str) -> Going:
        """A legacy client's standing stream, or the rest of one that was left."""
        name = (request.header(b"mcp-session-id") or b"").decode("latin-1")
        now_us = self._clock.monotonic_us()
        session = self.sessions.find(name, caller, server, now_us)
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

    def _leave(self, caller: Caller, request: Request, response: Response, server: str) -> Going:
        name = (request.header(b"mcp-session-id") or b"").decode("latin-1")
        session = self.sessions.find(name, caller, server, self._clock.monotonic_us())
        if session is None:
            response.send(404, (), b"")
            return None
        self.sessions.remove(session)
        background(session.close())
        response.send(200, (), b"")
        return None

    def _session(self, post: Post) -> Session | None:
        name = (post.request.header(b"mcp-session-id") or b"").decode("latin-1")
        now_us = self._clock.monotonic_us()
        return self.sessions.find(name, post.caller, post.server, now_us)

    # Both

    def _ask(self, post: Post, asked: Asked, era: Era, session: Session | None) -> Ask:
        return Ask(
            request=post.request,
            response=post.response,
            caller=post.caller,
            asked=asked,
            era=era,
            session=session,
            hold=post.hold,
            mirrored=heads.mirrored(post.request.headers) if era is Era.MODERN else (),
        )

    def _guarded(
        self, post: Post, asked: Asked, work: Coroutine[Any, Any, None]
    ) -> Coroutine[Any, Any, None]:
        """Work that answers by itself; what it raises is answered here, and its room given back."""

        async def guarded() -> None:
            try:
                await work
            except McpError as error:
                self._say_error(post, asked.message.id, error)
            except FailedError as error:
                why = said.failed(post.server or "of the view", error.failure)
                self._refuse(post, asked, why)
            except RingfenceError as error:
                why = reason_of(error) if isinstance(error, PeerError) else _unavailable(error)
                self._refuse(post, asked, why)
            finally:
                post.hold.leave()

        return guarded()

    def _is_known(self, link: ToolLink) -> bool:
        return bool(link.listed)

    async def _begin_late(self, post: Post, ask: Ask, link: ToolLink) -> None:
        """Begin a request that must wait for its channel, or for the server's tools to be known."""
        if ask.session is None:
            await link.era(Era.MODERN)
            home = self._home(post, ask.asked, link)
            if home:
                await self._hand_over(post, ask.asked, home)
                return
        way = await self._reach.way(post, ask.asked, link, ask.era, ask.session)
        if ask.asked.message.method == "tools/call":
            await self._lists.known(way)
        target = self._reach.target(post, ask.asked, link, way.channel)
        await _until_gone(self._beginning.begin(post, ask, target))

    async def _seek(self, post: Post, ask: Ask) -> None:
        """Find the server that a request of the merged view is for; what is ours, is done here."""
        ours = built_in.called_by(ask.asked)
        if ours is not None:
            await self._built_in.call(ask, knock_of(post, ask, ours))
            return
        ways = await self._reach.ways(post, ask.asked, ask.era, ask.session)
        way = await self._lists.home_of(ways, ask.asked)
        target = self._reach.target(post, ask.asked, way.link, way.channel)
        await _until_gone(self._beginning.begin(post, ask, target))

    async def _list(self, post: Post, asked: Asked, era: Era, session: Session | None) -> None:
        ways = await self._reach.ways(post, asked, era, session)
        view = View(ways=ways, is_merged=not post.server, era=era)
        method, cursor = asked.message.method, asked.text("cursor")
        if method == "tools/list":
            result = await self._lists.tools(post.caller, view, cursor)
        else:
            result = await self._lists.others(post.caller, view, method, cursor)
        outlet = Outlet(post.response, (), self._clock.monotonic_us())
        if session is not None and any(way.link.is_streaming for way in ways):
            outlet.open()
        outlet.answer(self._shown(asked, result))

    # Refusals

    def _refuse(self, post: Post, asked: Asked, why: Reason) -> None:
        if post.response.is_started or post.response.is_disconnected:
            return
        attempted = Attempted(
            resource=f"{post.server}__{asked.message.method}"[:200],
            operation=asked.message.method,
            client=post.head.client,
        )
        refused = self._path.refuse(post.caller, Deny(reason=why), attempted)
        raw, status = said.refusal(asked, refused, era_of(post, asked))
        post.response.send(status, [JSON], raw)

    def _deny(self, caller: Caller, request: Request, response: Response, why: Reason) -> None:
        path = request.path[:200].decode("latin-1")
        attempted = Attempted(resource=path, operation="mcp", client=client_of(request.headers))
        refused = self._path.refuse(caller, Deny(reason=why), attempted)
        self._answer(request, response, refused)

    def _answer(self, request: Request, response: Response, refused: RefusedAction) -> None:
        answer_refusal(request, response, None, refused)


def is_foreign(origin: bytes | None) -> bool:
    """Whether a web page of another place asks (2025-11-25, Transports, security warning)."""
    if origin is None:
        return False
    host = origin.partition(b"://")[2]
    name = host.rpartition(b":")[0] if host.rpartition(b":")[2].isdigit() else host
    return name not in _LOCAL


async def _until_gone(going: Going) -> None:
    if isinstance(going, Coroutine):
        await going
    elif going is not None:
        await until_over(going)


def _unavailable(error: RingfenceError) -> Reason:
    text = f"The tool server cannot be reached: {error.message}."
    return Reason(code=Code.TOOL_UNAVAILABLE, message=text, facts=(("cause", error.code),))


_OVER: Final = "the session is over; initialize again"
_FOREIGN: Final = "web pages of other places may not use this gateway"

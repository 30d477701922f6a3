"""The tool gateway's door: `/mcp/{server}` and `/mcp`, for MCP clients of both eras.

It translates and decides nothing: what may happen is asked of `ToolPath` and the registry.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, final

from ringfence.domain.errand import Errand
from ringfence.domain.error import PeerError
from ringfence.domain.tool import ToolServer
from ringfence.domain.verdict import Code, Reason, Throttle
from ringfence.enforcement.allowance import Allowance
from ringfence.enforcement.approval import Approvals
from ringfence.enforcement.authority import Authority
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.refusal import RefusedAction, reason_of
from ringfence.enforcement.tool_call import ToolPath
from ringfence.enforcement.tool_finish import ToolFinish
from ringfence.enforcement.tool_registry import ToolRegistry
from ringfence.gateways.answer import answer_refusal
from ringfence.gateways.head import Head
from ringfence.gateways.model.buffer import read_request, request_at_once
from ringfence.gateways.tool.answering import Answering
from ringfence.gateways.tool.ask import Means
from ringfence.gateways.tool.background import background, settled
from ringfence.gateways.tool.begin import Beginning, Going, until_gone
from ringfence.gateways.tool.built_in import BuiltInCalls
from ringfence.gateways.tool.courier import failed
from ringfence.gateways.tool.governed import Governed
from ringfence.gateways.tool.greeting import Greetings
from ringfence.gateways.tool.held import HeldClients
from ringfence.gateways.tool.late import Late
from ringfence.gateways.tool.legacy import LegacyEra
from ringfence.gateways.tool.listing import Lists
from ringfence.gateways.tool.modern import ModernEra
from ringfence.gateways.tool.neighbour import Forwarder
from ringfence.gateways.tool.outlet import JSON
from ringfence.gateways.tool.post import Post, era_of, stated_of
from ringfence.gateways.tool.reach import Reach, servers_at
from ringfence.gateways.tool.rounds import Waiting
from ringfence.gateways.tool.server import ToolLinks
from ringfence.gateways.tool.session import Sessions
from ringfence.gateways.tool.subscription import Subscriptions
from ringfence.gateways.tool.task import Tasks
from ringfence.protocols.mcp import error as errors
from ringfence.protocols.mcp import head as heads
from ringfence.protocols.mcp import message, request, task
from ringfence.protocols.mcp.error import McpError
from ringfence.protocols.mcp.message import Kind
from ringfence.protocols.mcp.sealing import Sealer
from ringfence.protocols.mcp.version import Era
from ringfence.transport.clock import Clock
from ringfence.transport.http import Request, Response

PATH: Final = b"/mcp"
_REQUEST_BYTES: Final = 16 * 1024 * 1024
_BODY_S: Final = 30.0
_LOCAL: Final = frozenset({b"localhost", b"127.0.0.1", b"[::1]"})


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
        self._links = links
        self._clock = clock
        self._allowance = allowance or Allowance()
        self._forwarder = forwarder
        self.sessions = Sessions()
        self._waiting = Waiting()
        self._answering = Answering(path)
        self._subscriptions = Subscriptions(clock, links, path.inspections.shows_secret)
        lists = Lists(path=path, registry=registry, sealer=sealer, clock=clock, nonce=nonce)
        tasks = Tasks(sealer)
        reach = Reach(
            links=links,
            lists=lists,
            registry=registry,
            subscriptions=self._subscriptions,
            tasks=tasks,
        )
        number = forwarder.neighbours.number
        means = Means(
            path=path,
            clock=clock,
            authority=authority,
            sealer=sealer,
            tasks=tasks,
            number=number,
            waiting=self._waiting,
            failed=failed,
            secret=secret,
            nonce=nonce,
        )
        held = HeldClients(means, approvals)
        beginning = Beginning(means=means, finish=finish, held=held, reach=reach)
        greetings = Greetings()
        governed = Governed(means)
        late = Late(
            answering=self._answering,
            beginning=beginning,
            built_in_calls=BuiltInCalls(path, held, authority, clock),
            lists=lists,
            reach=reach,
            forwarder=forwarder,
            clock=clock,
        )
        self._modern = ModernEra(
            means=means,
            answering=self._answering,
            beginning=beginning,
            late=late,
            reach=reach,
            greetings=greetings,
            subscriptions=self._subscriptions,
            lists=lists,
            governed=governed,
            forwarder=forwarder,
        )
        self._legacy = LegacyEra(
            sessions=self.sessions,
            answering=self._answering,
            beginning=beginning,
            late=late,
            reach=reach,
            lists=lists,
            greetings=greetings,
            subscriptions=self._subscriptions,
            governed=governed,
            clock=clock,
            session_name=lambda: secret(f"{number}."),
        )

    @staticmethod
    def serves(path: bytes) -> bool:
        """Whether a path belongs to this door."""
        return path == PATH or path.startswith(PATH + b"/")

    def handle(
        self,
        caller: Caller,
        request: Request,
        response: Response,
        head: Head,
        errand: Errand | None = None,
    ) -> Going:
        """Begin to answer one request of a caller who is known; an `errand` is the plane's own."""
        if is_foreign(request.header(b"origin")):
            response.send(403, [JSON], errors.document(b"", errors.REFUSED, _FOREIGN))
            return None
        server = request.path[len(PATH) + 1 :].decode("latin-1")
        servers = servers_at(caller, server)
        if isinstance(servers, Reason):
            self._answering.deny(caller, request, response, servers)
            return None
        session = request.header(b"mcp-session-id")
        if session is not None:
            owner = self._forwarder.neighbours.owner_of(session.decode("latin-1"))
            if self._forwarder.is_foreign(owner, request):
                return self._hand_over_session(owner, request, response)
        if request.method == b"POST":
            return self._post(caller, request, response, head, server, servers, errand)
        return self._unposted(caller, request, response, server)

    async def _hand_over_session(self, owner: int, request: Request, response: Response) -> None:
        """Let the worker answer whose session it is."""
        body = await request.read(_REQUEST_BYTES)
        if not await self._forwarder.forward(owner, request, response, body):
            raw = errors.document(b"", errors.REFUSED, _OVER)
            response.send(404, [JSON], raw)

    def _unposted(self, caller: Caller, request: Request, response: Response, server: str) -> Going:
        """What else there is to a session of the legacy era: to listen, and to end it."""
        if request.method == b"GET":
            return self._legacy.listen(caller, request, response, server)
        if request.method == b"DELETE":
            return self._legacy.leave(caller, request, response, server)
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
        servers: Sequence[ToolServer],
        errand: Errand | None,
    ) -> Going:
        portion = self._allowance.enter(caller)
        if isinstance(portion, Throttle):
            answer_refusal(request, response, None, RefusedAction(verdict=portion, action=""))
            return None
        post = Post(
            caller=caller,
            request=request,
            response=response,
            head=head,
            server=server,
            servers=servers,
            portion=portion,
            stated=stated_of(request),
            errand=errand,
        )
        going: Going = None
        try:
            body = request_at_once(request, _REQUEST_BYTES, portion)
            going = self._read_late(post) if body is None else self._read(post, body)
        except PeerError as error:
            self._answering.deny(caller, request, response, reason_of(error))
        finally:
            if going is None:
                portion.leave()
        return going

    async def _read_late(self, post: Post) -> None:
        going: Going = None
        try:
            async with asyncio.timeout(_BODY_S):
                body = await read_request(post.request, _REQUEST_BYTES, post.portion)
            going = self._read(post, body)
        except TimeoutError:
            what = f"its body did not come within {_BODY_S:g} seconds"
            late = PeerError(Code.REQUEST_MALFORMED, what)
            self._answering.deny(post.caller, post.request, post.response, reason_of(late))
        except PeerError as error:
            self._answering.deny(post.caller, post.request, post.response, reason_of(error))
        finally:
            if going is None:
                post.portion.leave()
        await until_gone(going)

    def _read(self, post: Post, body: bytes | Throttle) -> Going:
        if isinstance(body, Throttle):
            refused = RefusedAction(verdict=body, action="")
            answer_refusal(post.request, post.response, None, refused)
            return None
        number = b""
        try:
            heads.check_once(post.stated)
            said_ = message.read(body)
            number = said_.id
            if said_.kind is not Kind.REQUEST:
                return self._legacy.heed(post, said_)
            asked = request.read(said_)
            task.check(said_.method)
            if era_of(post, asked) is Era.MODERN:
                return self._modern.take(post, asked)
            return self._legacy.take(post, asked)
        except McpError as error:
            self._answering.say_error(post, number, error)
            return None


def is_foreign(origin: bytes | None) -> bool:
    """Whether a web page of another place asks (2025-11-25, Transports, security warning)."""
    if origin is None:
        return False
    host = origin.partition(b"://")[2]
    name = host.rpartition(b":")[0] if host.rpartition(b":")[2].isdigit() else host
    return name not in _LOCAL


_OVER: Final = "the session is over; initialize again"
_FOREIGN: Final = "web pages of other places may not use this gateway"

"""A pool of upstream connections, kept open and used again, the latest first."""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import cast, final

from ringfence.domain.error import UnavailableError, UnsentError
from ringfence.transport import framing
from ringfence.transport.answer import Answer
from ringfence.transport.deadline import Sweeper
from ringfence.transport.dialer import Dialer
from ringfence.transport.http import Exchange, Headers, Origin, Prepared, Taker, UpstreamResponse
from ringfence.transport.limits import ClientLimits
from ringfence.transport.resolver import Resolver
from ringfence.transport.switching import Apart, Dialled, Offered, SwitchingConnection
from ringfence.transport.upload import Upload
from ringfence.transport.upstream import UpstreamConnection

_FRESH_S = 0.5
"""A connection used so recently is taken without asking the kernel whether it was closed."""

_SAFE = frozenset((b"GET", b"HEAD"))

_SHELVES_MOST = 1024
"""Origins that are remembered: whoever is asked for may name any number of them."""


class Pool:
    """Implements `http.Client`.

    A kept connection may be closed by the upstream at any time. One that is seen to be closed
    before anything is written to it is replaced, which no caller notices. After writing, nobody can
    know whether the upstream has acted: only GET and HEAD, which change nothing, are sent once more
    on a new connection; everything else fails, and not with UnsentError.

    Every answer must be read to its end, piped or closed; else its connection stays taken.
    """

    def __init__(
        self,
        *,
        limits: ClientLimits | None = None,
        tls: ssl.SSLContext | None = None,
        resolver: Resolver | None = None,
    ) -> None:
        """Made inside the running loop. `tls` is from `tls.client_context`."""
        self._limits = limits or ClientLimits()
        self._sweeper = Sweeper(asyncio.get_running_loop())
        self._dialer = Dialer(resolver or Resolver(self._limits.addresses_s), tls)
        self._shelves: dict[Origin, _Shelf] = {}
        self._used: set[_Shelf] = set()
        """Those that hold connections, remembered or not."""
        self._is_closed = False
        self._apart = Apart()

    def prepare(  # noqa: PLR0913 (one request has these parts)
        self,
        origin: Origin,
        method: bytes,
        target: bytes,
        headers: Headers,
        *,
        connect_timeout_s: float,
        idle_timeout_s: float,
    ) -> "PreparedRequest":
        """Write the head of a request; see `http.Client`."""
        shelf = self._shelf(origin)
        start = framing.request_start(shelf.host, method, target, headers)
        rest = start[len(method) + 1 + len(target) :]
        return PreparedRequest(shelf, method, start, rest, connect_timeout_s, idle_timeout_s)

    def send(self, prepared: Prepared, body: bytes | Upload, taker: Taker) -> Exchange:
        """Send a request and tell `taker` of its answer; see `http.Client`."""
        if not isinstance(prepared, PreparedRequest):
            raise TypeError("prepared by another client")
        line = prepared.shelf.kept()
        if line is None:
            return _Opening(prepared, body, taker)
        prepared.send(line, body, taker)
        return line

    async def request(  # noqa: PLR0913 (one request has these parts)
        self,
        origin: Origin,
        method: bytes,
        target: bytes,
        headers: Headers,
        body: bytes,
        *,
        connect_timeout_s: float,
        idle_timeout_s: float,
    ) -> Answer:
        """Send a request and wait for the head of the answer.

        Raises UnavailableError `provider_unavailable` or `provider_timeout`, PeerError
        `provider_malformed`. It is an UnsentError if nothing of the request was sent.
        """
        prepared = self.prepare(
            origin,
            method,
            target,
            headers,
            connect_timeout_s=connect_timeout_s,
            idle_timeout_s=idle_timeout_s,
        )
        shelf = prepared.shelf
        line = shelf.kept()
        if line is not None:
            try:
                return await _answer(line, prepared, body)
            except UnavailableError as error:
                is_stale = error.code == "provider_unavailable" and not line.has_answered
                if method not in _SAFE or not is_stale:
                    raise
        line = await shelf.connection(connect_timeout_s)
        return await _answer(line, prepared, body)

    async def offer(  # noqa: PLR0913 (one request has these parts)
        self,
        origin: Origin,
        target: bytes,
        headers: Headers,
        protocol: bytes,
        *,
        connect_timeout_s: float,
        idle_timeout_s: float,
    ) -> Offered:
        """Offer another protocol on a connection of its own; raises as `request` does."""
        start = framing.request_start(framing.authority(origin), b"GET", target, headers)
        head = b"%bconnection: upgrade\r\nupgrade: %b\r\n\r\n" % (start, protocol)
        line = await self._dialer.open(origin, self._make_apart, connect_timeout_s)
        self._apart.add(line)
        waiter = _Waiter()
        line.exchange(b"GET", head, b"", waiter, idle_timeout_s)
        try:
            return Offered(await waiter.future, line)
        except BaseException:
            line.give_up()
            raise

    async def dial(self, origin: Origin, connect_timeout_s: float) -> asyncio.Transport:
        """A connection on which nothing was said, its reading paused; raises as `request` does.

        It belongs to whoever asked for it.
        """
        held = await self._dialer.open(origin, Dialled, connect_timeout_s)
        return held.transport

    def _make_apart(self) -> SwitchingConnection:
        return SwitchingConnection(self._limits, self._sweeper, self._apart)

    def _shelf(self, origin: Origin) -> "_Shelf":
        shelf = self._shelves.get(origin)
        if shelf is None:
            if len(self._shelves) >= _SHELVES_MOST:
                self._shelves = {each.origin: each for each in self._used}
            shelf = _Shelf(origin, self._limits, self._sweeper, self._dialer, self._make_room)
            self._shelves[origin] = shelf
        return shelf

    def _make_room(self, shelf: "_Shelf") -> None:
        """One more connection is about to be opened: too many that rest are closed before."""
        if self._is_closed:
            raise UnsentError("provider_unavailable", "nothing is sent any more")
        self._used = {each for each in self._used if each.taken}
        self._used.add(shelf)
        over = 1 + sum(each.taken for each in self._used) - self._limits.connections
        if over > 0:
            resting = [line for each in self._used for line in each.idle]
            resting.sort(key=lambda line: line.deadline)
            for line in resting[:over]:
                line.give_up()

    async def close(self) -> None:
        """Close every connection for good; requests in progress fail."""
        self._is_closed = True
        self._apart.close()
        for shelf in {*self._used, *self._shelves.values()}:
            await shelf.close()


@final
class PreparedRequest:
    """Implements `http.Prepared`."""

    __slots__ = ("_idle_timeout_s", "_method", "_rest", "_start", "connect_timeout_s", "shelf")

    def __init__(  # noqa: PLR0913, PLR0917 (a prepared request has these parts)
        self,
        shelf: "_Shelf",
        method: bytes,
        start: bytes,
        rest: bytes,
        connect_timeout_s: float,
        idle_timeout_s: float,
    ) -> None:
        """`start` is the head up to its length, `rest` that of it which follows the target."""
        self.shelf = shelf
        self._method = method
        self._start = start
        self._rest = rest
        self.connect_timeout_s = connect_timeout_s
        self._idle_timeout_s = idle_timeout_s

    def at(self, target: bytes) -> "PreparedRequest":
        """The same for another target. Raises ValueError for one that would end its line."""
        framing.check_sent_target(target)
        start = b"".join((self._method, b" ", target, self._rest))
        return PreparedRequest(
            self.shelf,
            self._method,
            start,
            self._rest,
            self.connect_timeout_s,
            self._idle_timeout_s,
        )

    def send(self, line: UpstreamConnection, body: bytes | Upload, taker: Taker) -> None:
        """Send it with this body."""
        method = self._method
        if isinstance(body, Upload):
            head = self._start + framing.request_end_of_upload(body.length)
        else:
            head = self._start + framing.request_end(method, len(body))
        line.exchange(method, head, body, taker, self._idle_timeout_s)


async def _answer(line: UpstreamConnection, prepared: PreparedRequest, body: bytes) -> Answer:
    waiter = _Waiter()
    prepared.send(line, body, waiter)
    try:
        return await waiter.future
    except asyncio.CancelledError:
        line.abandon(waiter)
        waiter.close()
        raise


class _Waiter:
    """A `Taker` for a coroutine."""

    def __init__(self) -> None:
        self.future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def answered(self, upstream: UpstreamResponse) -> None:
        if self.future.done():  # who asked has gone
            upstream.close()
        else:
            self.future.set_result(cast("Answer", upstream))

    def unanswered(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)

    def close(self) -> None:
        """Give up an answer that came at the moment when nobody waited any more."""
        if self.future.done() and not self.future.cancelled() and not self.future.exception():
            self.future.result().close()


@final
class _Opening:
    """An `Exchange` that needs a connection first: a task opens it, then the request is sent."""

    def __init__(self, prepared: PreparedRequest, body: bytes | Upload, taker: Taker) -> None:
        self._prepared = prepared
        self._body = body
        self._taker: Taker | None = taker
        self._line: UpstreamConnection | None = None
        self._task = asyncio.get_running_loop().create_task(self._open(), name="open")

    async def _open(self) -> None:
        """INVARIANT: the taker is told of every error, unless it has gone."""
        shelf = self._prepared.shelf
        try:
            line = await shelf.connection(self._prepared.connect_timeout_s)
        except Exception as error:  # noqa: BLE001 (whoever waits decides what it means)
            if self._taker is not None:
                self._taker.unanswered(error)
            return
        if self._taker is None:
            shelf.free(line)
            return
        self._line = line
        self._prepared.send(line, self._body, self._taker)

    def abandon(self, taker: Taker) -> None:
        self._taker = None
        if self._line is not None:
            self._line.abandon(taker)
        else:
            self._task.cancel()


class _Shelf:
    """The connections of one origin."""

    def __init__(
        self,
        origin: Origin,
        limits: ClientLimits,
        sweeper: Sweeper,
        dialer: Dialer,
        make_room: Callable[["_Shelf"], None],
    ) -> None:
        self._lines: set[UpstreamConnection] = set()
        self._is_closed = False
        self._emptied = asyncio.Event()
        self._emptied.set()
        self.host = framing.authority(origin)
        self.origin = origin
        self._make_room = make_room
        self._limits = limits
        self._sweeper = sweeper
        self._dialer = dialer
        self._loop = asyncio.get_running_loop()
        self.idle: list[UpstreamConnection] = []
        self._idle_s = limits.idle_tls_s if origin.scheme == "https" else limits.idle_plain_s
        self.taken = 0
        self._waiting: deque[asyncio.Future[UpstreamConnection | None]] = deque()

    def kept(self) -> UpstreamConnection | None:
        """An open connection of before, the latest first."""
        while self.idle:
            line = self.idle.pop()
            rested_s = self._idle_s - (line.deadline - self._loop.time())
            if line.is_usable(ask_kernel=rested_s > _FRESH_S):
                return line
            line.give_up()
        return None

    async def connection(self, timeout_s: float) -> UpstreamConnection:
        """A new connection, or the first that is free when there are too many."""
        start = self._loop.time()
        while self.taken >= self._limits.connections_per_origin:
            free = await self._turn(start + timeout_s)
            if free is not None and free.is_usable(ask_kernel=False):
                return free
        self._make_room(self)
        self.taken += 1
        try:
            left_s = max(0.0, start + timeout_s - self._loop.time())
            line = await self._dialer.open(self.origin, self._make, left_s)
        except BaseException:
            self._give_back()
            raise
        self._keep(line)
        return line

    def _keep(self, line: UpstreamConnection) -> None:
        """Take in a new connection, unless it or the pool was closed meanwhile."""
        if line.is_lost:
            self._give_back()
        else:
            self._lines.add(line)
            self._emptied.clear()
        if self._is_closed:
            line.give_up()
        if not line.is_usable(ask_kernel=False):
            raise UnsentError("provider_unavailable", "the connection closed at once")

    async def close(self) -> None:
        """Close every connection and wait until it is closed."""
        self._is_closed = True
        for line in tuple(self._lines):
            line.give_up()
        await self._emptied.wait()

    # From the connections

    def free(self, line: UpstreamConnection) -> None:
        """The exchange is over and the connection good for another."""
        waiter = self._first_waiting() if self._waiting else None
        if waiter is not None:
            waiter.set_result(line)
        else:
            line.deadline = self._loop.time() + self._idle_s
            self.idle.append(line)

    def lost(self, line: UpstreamConnection) -> None:
        """The connection is closed."""
        if line in self._lines:
            self._lines.discard(line)
            if line in self.idle:
                self.idle.remove(line)
            self._give_back()
        if not self._lines:
            self._emptied.set()

    def _make(self) -> UpstreamConnection:
        return UpstreamConnection(self._limits, self._sweeper, self)

    def _give_back(self) -> None:
        self.taken -= 1
        waiter = self._first_waiting()
        if waiter is not None:
            waiter.set_result(None)

    def _first_waiting(self) -> asyncio.Future[UpstreamConnection | None] | None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                return waiter
        return None

    async def _turn(self, until: float) -> UpstreamConnection | None:
        """Wait for a free connection, or None for a free place."""
        waiter: asyncio.Future[UpstreamConnection | None] = self._loop.create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout_at(until):
                return await waiter
        except BaseException as error:
            self._pass_on(waiter)
            if isinstance(error, TimeoutError):
                raise UnsentError(
                    "provider_timeout", f"all connections to `{self.origin.host}` are taken"
                ) from error
            raise

    def _pass_on(self, waiter: asyncio.Future[UpstreamConnection | None]) -> None:
        """Whoever gives up at the last moment leaves what it was given to the next."""
        if not waiter.done() or waiter.cancelled():
            return
        line = waiter.result()
        if line is not None and line.is_usable(ask_kernel=False):
            self.free(line)
        elif line is None:
            following = self._first_waiting()
            if following is not None:
                following.set_result(None)

"""What servers say by themselves, on its way to clients that listen: list changes and updates."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, final

import msgspec

from ringfence.domain.error import RingfenceError
from ringfence.gateways.tool.asking import FailedError, ask
from ringfence.gateways.tool.channel import Channel, Sending, Standing, Wanted
from ringfence.gateways.tool.outlet import Outlet
from ringfence.gateways.tool.server import ToolLink, ToolLinks
from ringfence.gateways.tool.session import Session
from ringfence.gateways.tool.standing import until_ready
from ringfence.gateways.tool.way import Way
from ringfence.protocols import strict_json
from ringfence.protocols.mcp import error as errors
from ringfence.protocols.mcp import message, request, translation
from ringfence.protocols.mcp.error import McpError
from ringfence.protocols.mcp.message import Envelope, Kind
from ringfence.protocols.mcp.request import Asked
from ringfence.protocols.mcp.version import Era
from ringfence.transport.clock import Clock
from ringfence.transport.http import Work
from ringfence.transport.work import until_over

_SUBSCRIBE_S: Final = 10.0
_TOOLS: Final = "notifications/tools/list_changed"


class _Filter(msgspec.Struct):
    """What a modern client wants to hear of."""

    tools: bool = msgspec.field(default=False, name="toolsListChanged")
    prompts: bool = msgspec.field(default=False, name="promptsListChanged")
    resources: bool = msgspec.field(default=False, name="resourcesListChanged")
    uris: list[str] = msgspec.field(default_factory=list, name="resourceSubscriptions")


class _Updated(msgspec.Struct):
    uri: str = ""


_filter: Final = msgspec.json.Decoder(_Filter)
_updated: Final = msgspec.json.Decoder(_Updated)


@final
class Subscriptions:
    """Joins the streams of servers to those of clients, whichever era either is of."""

    def __init__(
        self, clock: Clock, links: ToolLinks, shows_secret: Callable[[bytes], bool]
    ) -> None:
        """Nobody listens yet. What `shows_secret` is passed to nobody (I5)."""
        self._clock = clock
        self._links = links
        self._shows_secret = shows_secret
        self._outlets: set[Outlet] = set()

    # Modern clients

    async def run(
        self,
        asked: Asked,
        wanted: Wanted,
        ways: Sequence[Way],
        heard_of: Sequence[Way],
        outlet: Outlet,
    ) -> None:
        """Serve one `subscriptions/listen` until its client leaves.

        That lists have changed is told of every server in reach; of single resources only those
        `heard_of` are asked, which the agent may read.
        """
        number = asked.message.id
        open_ = {way.link.server.name for way in heard_of}
        lists_alone = msgspec.structs.replace(wanted, uris=frozenset())

        def wants(way: Way) -> Wanted:
            return wanted if way.link.server.name in open_ else lists_alone

        def heard(way: Way, raw: bytes, envelope: Envelope) -> None:
            self._note(way.link.organisation, way.link.server.name, envelope)
            is_wanted = envelope.kind is Kind.NOTIFICATION and _wants(wants(way), envelope)
            if is_wanted and not self._shows_secret(raw):
                outlet.say(translation.tagged(raw, number), may_drop=True)

        standing: list[Standing] = []
        gone = Open(outlet)
        try:
            for way in ways:
                own = wants(way)
                stands = way.channel.listen(own, partial(heard, way))
                standing.append(stands)
                if way.channel.era is Era.LEGACY:
                    await _subscribe(way, own)
            for stands in standing:
                await until_ready(stands)
            outlet.open()
            outlet.say(_acknowledged(asked, number))
            self._outlets.add(outlet)
            await until_over(gone)
        finally:
            self._outlets.discard(outlet)
            for stands in standing:
                stands.close()

    def keep_alive(self, now_us: int) -> None:
        """Tell all who listen that they are still heard."""
        for outlet in tuple(self._outlets):
            outlet.keep_alive(now_us)

    def drain(self) -> None:
        """End every stream: the plane stops, and clients subscribe anew elsewhere."""
        for outlet in tuple(self._outlets):
            outlet.leave()

    # Legacy clients

    async def stand(self, session: Session) -> None:
        """Hear every server of a session, so that its client misses nothing."""
        for name, channel in session.channels.items():
            self._stand(session, name, channel)
        for standing in tuple(session.standing.values()):
            await until_ready(standing)

    def joined(self, session: Session, link: ToolLink, channel: Channel) -> None:
        """A session has one more server."""
        if session.outlet is not None:
            self._stand(session, link.server.name, channel)

    def restand(self, session: Session, way: Way) -> None:
        """A session wants to hear of other resources than before."""
        name = way.link.server.name
        if way.channel.era is Era.MODERN and name in session.standing:
            session.standing.pop(name).close()
            self._stand(session, name, way.channel)

    def _stand(self, session: Session, name: str, channel: Channel) -> None:
        if name in session.standing:
            return
        uris = frozenset(uri for uri, server in session.uris.items() if server == name)

        def heard(raw: bytes, envelope: Envelope) -> None:
            self._note(session.owner[0], name, envelope)
            if not self._shows_secret(raw):
                session.heard(channel, raw, envelope)

        session.standing[name] = channel.listen(Wanted(uris=uris), heard)

    def _note(self, organisation: str, server: str, envelope: Envelope) -> None:
        """A server whose tools have changed is listed anew before it is called."""
        if envelope.method == _TOOLS:
            self._links.changed(organisation, server)


@final
class Open:
    """A stream that stays open until either side ends it: `transport.http.Work`."""

    def __init__(self, outlet: Outlet) -> None:
        """It has begun, or its client has left already."""
        self._outlet = outlet
        self._tell: list[Callable[[Work], None]] = []
        self.is_over = outlet.response.is_disconnected
        outlet.on_gone(self._over)
        outlet.on_end(self._over)

    def cancel(self) -> None:
        """Cut it."""
        self._outlet.abort()
        self._over()

    def when_over(self, tell: Callable[[Work], None]) -> None:
        """Tell once when it has ended."""
        self._tell.append(tell)

    def _over(self) -> None:
        if self.is_over:
            return
        self.is_over = True
        told, self._tell = self._tell, []
        for tell in told:
            tell(self)


def read_filter(asked: Asked) -> Wanted:
    """What a subscription is about. Raises McpError."""
    raw = asked.part("notifications") or b"{}"
    try:
        read = _filter.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        what = "`params.notifications` is no filter of subscriptions"
        raise McpError(errors.INVALID_PARAMS, what) from None
    return Wanted(
        tools=read.tools,
        prompts=read.prompts,
        resources=read.resources,
        uris=frozenset(read.uris),
    )


def _acknowledged(asked: Asked, number: bytes) -> bytes:
    wanted = asked.part("notifications") or b"{}"
    params = b'{"_meta":{%b:%b},"notifications":%b}' % (
        strict_json.encode(request.SUBSCRIPTION),
        number,
        wanted,
    )
    return message.notification("notifications/subscriptions/acknowledged", params)


def _wants(wanted: Wanted, envelope: Envelope) -> bool:
    """INVARIANT: nobody hears of what they did not ask for."""
    match envelope.method:
        case "notifications/tools/list_changed":
            return wanted.tools
        case "notifications/prompts/list_changed":
            return wanted.prompts
        case "notifications/resources/list_changed":
            return wanted.resources
        case "notifications/resources/updated":
            try:
                return _updated.decode(envelope.params).uri in wanted.uris
            except (msgspec.DecodeError, UnicodeDecodeError):
                return False
        case _:
            return False


async def _subscribe(way: Way, wanted: Wanted) -> None:
    """Ask a legacy server for what a modern subscription names. A failure is only no news."""
    for uri in wanted.uris:
        channel = way.channel
        number = channel.number()
        params = msgspec.json.encode({"uri": uri})
        body = message.request(number, "resources/subscribe", params)
        sending = Sending(body=body, number=number, method="resources/subscribe")
        try:
            await ask(channel, sending, _SUBSCRIBE_S)
        except (FailedError, RingfenceError, McpError):
            continue

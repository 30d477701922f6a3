"""One configured tool server as a worker reaches it: which eras it speaks, and its channels."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final, final

from ringfence.domain.error import PeerError, RingfenceError
from ringfence.domain.organisation import Organisation
from ringfence.domain.tool import ToolServer
from ringfence.enforcement.tool_dispatch import ToolDispatcher
from ringfence.gateways.tool.asking import FailedError, Reply, ask
from ringfence.gateways.tool.background import background
from ringfence.gateways.tool.channel import Channel, Sending
from ringfence.gateways.tool.web import WebChannel
from ringfence.protocols.mcp import error as errors
from ringfence.protocols.mcp import identity, message
from ringfence.protocols.mcp.error import McpError
from ringfence.protocols.mcp.version import MODERN, Era

_LOG = logging.getLogger(__name__)

_PROBE_S: Final = 10.0
_SHARED_MOST: Final = 64
"""Sessions that modern clients have with a legacy server; the one idle longest makes room."""

_NOT_KNOWN: Final = range(400, 500)
"""Statuses of HTTP by which a server says that it knows no such request."""

Key = tuple[str, ...]


@final
class ToolLink:
    """One server of one organisation."""

    def __init__(self, organisation: str, server: ToolServer, dispatcher: ToolDispatcher) -> None:
        """Nothing is known of it yet but what the configuration says."""
        self.organisation = organisation
        self.server = server
        self._dispatcher = dispatcher
        self._modern = self._web(Era.MODERN, b"", is_shared=False)
        self._shared: OrderedDict[Key, Channel] = OrderedDict()
        self._probing: asyncio.Task[bool] | None = None
        self.speaks_modern: bool | None = {"legacy": False, "modern": True}.get(server.era)
        self.speaks_legacy: bool | None = {"legacy": True, "modern": False}.get(server.era)
        self.listed: tuple[bytes, ...] = ()
        """The pages of its last listing of tools, as they came."""
        self.is_streaming = False
        """Whether it answers lists on streams: then so does the door, to clients of its era."""

    def era_at_once(self, client: Era) -> Era | None:
        """The era to speak with it for such a client; None if it must be asked."""
        if client is Era.LEGACY:
            return Era.LEGACY if self.speaks_legacy is not False else Era.MODERN
        if self.speaks_modern is None:
            return None
        return Era.MODERN if self.speaks_modern else Era.LEGACY

    async def era(self, client: Era) -> Era:
        """The same, having asked. A server of both eras is spoken to in the client's own."""
        known = self.era_at_once(client)
        if known is not None:
            return known
        return Era.MODERN if await self.probed() else Era.LEGACY

    async def probed(self) -> bool:
        """Whether it speaks the modern era; asked once, and again if it did not answer at all."""
        if self.speaks_modern is not None:
            return self.speaks_modern
        if self._probing is None:
            self._probing = asyncio.create_task(self._probe(), name="probe")
            self._probing.add_done_callback(self._probe_over)
        return await asyncio.shield(self._probing)

    @property
    def modern(self) -> Channel:
        """The channel of the modern era; it has no state, so everybody shares it."""
        return self._modern

    def session(self, introduction: bytes) -> Channel:
        """A new session of the legacy era, for one client alone."""
        return self._web(Era.LEGACY, introduction, is_shared=False)

    def shared(self, key: Key, introduction: bytes) -> Channel:
        """The legacy session that modern requests of one kind share; `key` says whose they are."""
        known = self._shared.get(key)
        if known is None:
            known = self._shared[key] = self._web(Era.LEGACY, introduction, is_shared=True)
            if len(self._shared) > _SHARED_MOST:
                _, oldest = self._shared.popitem(last=False)
                background(oldest.close())
        self._shared.move_to_end(key)
        return known

    async def discover(self, meta: Mapping[str, bytes]) -> Reply:
        """Ask a modern server what it is. Raises FailedError."""
        number = self._modern.number()
        body = message.request(number, "server/discover", identity.params(meta))
        sending = Sending(body=body, number=number, method="server/discover")
        return await ask(self._modern, sending, self.server.call_timeout_s)

    async def close(self) -> None:
        """End every session with it."""
        for channel in (self._modern, *self._shared.values()):
            await channel.close()

    def _web(self, era: Era, introduction: bytes, *, is_shared: bool) -> Channel:
        return WebChannel(self.server, self._dispatcher, era, introduction, is_shared=is_shared)

    async def _probe(self) -> bool:
        try:
            async with asyncio.timeout(_PROBE_S):
                reply = await self.discover(identity.OWN)
        except TimeoutError:
            return False
        except FailedError as error:
            failure = error.failure
            has_answered = failure.status in _NOT_KNOWN or isinstance(failure.error, PeerError)
            self.speaks_modern = False if has_answered else None
            return False
        if reply.result:
            self.speaks_modern = any(each.encode() in reply.result for each in MODERN)
            return self.speaks_modern
        fault = errors.read(reply.error)
        supported = errors.supported(fault)
        self.speaks_modern = fault.code in errors.MODERN_ANSWERS and (
            not supported or any(each in supported for each in MODERN)
        )
        return self.speaks_modern

    def _probe_over(self, done: asyncio.Task[bool]) -> None:
        self._probing = None
        if not done.cancelled():
            done.exception()


@final
class ToolLinks:
    """All servers of all organisations, as one worker reaches them."""

    def __init__(self, dispatcher: ToolDispatcher) -> None:
        """Made one by one, when first needed."""
        self._dispatcher = dispatcher
        self._links: dict[tuple[str, str], ToolLink] = {}

    def find(self, organisation: Organisation, name: str) -> ToolLink | None:
        """The server of that name; None if the configuration has none."""
        server = organisation.tools.get(name)
        if server is None:
            return None
        key = (organisation.id, name)
        known = self._links.get(key)
        if known is not None and known.server == server:
            return known
        if known is not None:
            background(known.close())
        made = self._links[key] = ToolLink(organisation.id, server, self._dispatcher)
        return made

    async def close(self) -> None:
        """End every session with every server."""
        for link in self._links.values():
            await link.close()


async def opened(
    link: ToolLink, introduction: bytes, wrap: Callable[[Channel], None] | None = None
) -> Channel:
    """A channel for a legacy client, greeted, in whichever era the server speaks.

    Raises RingfenceError if it cannot be reached, McpError if it refuses the client.
    """
    if await link.era(Era.LEGACY) is Era.LEGACY:
        channel = link.session(introduction)
        try:
            await channel.open()
        except (RingfenceError, McpError):
            if link.speaks_legacy is None and await link.probed():
                link.speaks_legacy = False
            else:
                raise
        else:
            link.speaks_legacy = True
            if wrap is not None:
                wrap(channel)
            return channel
    return link.modern

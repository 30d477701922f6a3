"""One configured tool server as a worker reaches it: which eras it speaks, and its channels."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, final

from ringfence.domain.error import PeerError, RingfenceError
from ringfence.domain.organisation import Organisation
from ringfence.domain.tool import ServerEra, ToolServer
from ringfence.enforcement.tool_dispatch import ToolDispatcher
from ringfence.gateways.tool.asking import FailedError, Reply, ask
from ringfence.gateways.tool.background import background
from ringfence.gateways.tool.channel import Channel, Sending
from ringfence.gateways.tool.child import ChildChannel
from ringfence.gateways.tool.web import WebChannel
from ringfence.protocols.mcp import error as errors
from ringfence.protocols.mcp import identity, message
from ringfence.protocols.mcp.error import McpError
from ringfence.protocols.mcp.version import MODERN, Era

_LOG = logging.getLogger(__name__)

_PROBE_S: Final = 10.0
_PROBE_PROCESS_S: Final = 3.0
"""Some older servers that are processes say nothing at all before they were greeted."""
_IDLE_S: Final = 600.0
_SHARED_MOST: Final = 64
"""Sessions that modern clients have with a legacy server; the one idle longest makes room."""

_HELD_MOST_US: Final = 60_000_000

_NOT_KNOWN: Final = range(400, 500)
"""Statuses of HTTP by which a server says that it knows no such request."""

_SPEAKS_MODERN: Final = {ServerEra.ANY: None, ServerEra.LEGACY: False, ServerEra.MODERN: True}
_SPEAKS_LEGACY: Final = {ServerEra.ANY: None, ServerEra.LEGACY: True, ServerEra.MODERN: False}

Key = tuple[str, ...]


@final
class ToolLink:
    """One server of one organisation."""

    def __init__(self, organisation: str, server: ToolServer, dispatcher: ToolDispatcher) -> None:
        """Nothing is known of it yet but what the configuration says."""
        self.organisation = organisation
        self.configured = server
        """As the configuration has it."""
        # INVARIANT (I7): equal servers of two organisations have no grant in common.
        has_grant = server.oauth is not None and server.oauth.is_by_person
        self.server = replace(server, granted_to=organisation) if has_grant else server
        self._dispatcher = dispatcher
        is_process = bool(server.command)
        self._modern = self._channel(Era.MODERN, b"", is_shared=is_process)
        self._is_apart = is_process and server.is_stateful
        self._shared: OrderedDict[Key, Channel] = OrderedDict()
        self._probing: asyncio.Task[bool] | None = None
        self.speaks_modern: bool | None = _SPEAKS_MODERN[server.era]
        self.speaks_legacy: bool | None = _SPEAKS_LEGACY[server.era]
        self.listed: tuple[bytes, ...] = ()
        """The pages of its last listing of tools, as they came."""
        self.listed_us = 0
        """When it was asked for them last, on the monotonic clock."""
        self.held_ms = 0
        """From then on, for how long it says that they hold."""
        self._listed_with: object = None
        """The credentials in force then."""
        self.is_streaming = False
        """Whether it answers lists on streams: then so does the door, to clients of its era."""

    def era_at_once(self, client: Era) -> Era | None:
        """The era to speak with it for such a client; None if it must be asked."""
        if client is Era.LEGACY:
            return Era.LEGACY if self.speaks_legacy is not False else Era.MODERN
        if self.speaks_modern is None:
            return None
        return Era.MODERN if self.speaks_modern else Era.LEGACY

    @property
    def is_known(self) -> bool:
        """Whether its tools were ever listed here."""
        return bool(self.listed)

    def asked(self, now_us: int) -> None:
        """Its list was asked for at this time, and is as `listed` says."""
        self.listed_us = now_us
        self._listed_with = self._dispatcher.generation

    def left_ms(self, now_us: int) -> int:
        """For how long its list still holds, by what it said."""
        return max(0, self.held_ms - (now_us - self.listed_us) // 1000)

    def is_held(self, now_us: int) -> bool:
        """Whether its list need not be asked for again yet.

        However long a server says that its list holds: what it changes all the same is seen after a
        minute. Where a server keeps state each client may have a list of its own, and so may each
        credential.
        """
        is_young = now_us - self.listed_us < _HELD_MOST_US and self.left_ms(now_us) > 0
        is_own = self._listed_with is self._dispatcher.generation and not self.keeps_state
        return is_young and self.is_known and is_own

    @property
    def keeps_state(self) -> bool:
        """Whether modern requests of one client share something here, as far as is known."""
        return self._is_apart or self.speaks_modern is False

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

    def modern(self, key: Key = ()) -> Channel:
        """The channel of the modern era: one for all, but for a process that keeps state.

        `key` says whose requests they are.
        """
        if not self._is_apart or not key:
            return self._modern
        return self._kept(("modern", *key), Era.MODERN, b"")

    def session(self, introduction: bytes) -> Channel:
        """A session of the legacy era for one client alone, if what it does may show."""
        if self.server.command and not self._is_apart:
            return self._kept(("all",), Era.LEGACY, identity.INTRODUCTION)
        return self._channel(Era.LEGACY, introduction, is_owned=True)

    def own_modern(self) -> Channel:
        """The channel of the modern era for one legacy client."""
        if not self._is_apart:
            return self._modern
        return self._channel(Era.MODERN, b"", is_owned=True)

    def shared(self, key: Key, introduction: bytes) -> Channel:
        """The legacy session that modern requests of one kind share; `key` says whose they are."""
        if self.server.command and not self._is_apart:
            return self._kept(("all",), Era.LEGACY, identity.INTRODUCTION)
        return self._kept(key, Era.LEGACY, introduction)

    def _kept(self, key: Key, era: Era, introduction: bytes) -> Channel:
        known = self._shared.get(key)
        if known is None:
            known = self._shared[key] = self._channel(era, introduction, is_shared=True)
            if len(self._shared) > _SHARED_MOST:
                _, oldest = self._shared.popitem(last=False)
                background(oldest.close())
        self._shared.move_to_end(key)
        return known

    def tidy(self, now_s: float) -> None:
        """End processes that nobody has used for long; they are started again when needed."""
        for key, channel in tuple(self._shared.items()):
            if isinstance(channel, ChildChannel) and _is_idle(channel, now_s):
                del self._shared[key]
                background(channel.close())
        if isinstance(self._modern, ChildChannel) and _is_idle(self._modern, now_s):
            background(self._modern.close())

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

    def _channel(
        self, era: Era, introduction: bytes, *, is_shared: bool = False, is_owned: bool = False
    ) -> Channel:
        make = ChildChannel if self.server.command else WebChannel
        return make(
            self.server,
            self._dispatcher,
            era,
            introduction,
            is_shared=is_shared,
            is_owned=is_owned,
        )

    async def _probe(self) -> bool:
        is_process = bool(self.server.command)
        try:
            async with asyncio.timeout(_PROBE_PROCESS_S if is_process else _PROBE_S):
                reply = await self.discover(identity.OWN)
        except TimeoutError:
            self.speaks_modern = False if is_process else None
            return False
        except FailedError as error:
            failure = error.failure
            has_answered = failure.status in _NOT_KNOWN or isinstance(failure.error, PeerError)
            # A process that ends at such a question is one that never heard of it.
            is_old = has_answered or (is_process and failure.was_sent)
            self.speaks_modern = False if is_old else None
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
        if known is not None and known.configured == server:
            return known
        if known is not None:
            background(known.close())
        made = self._links[key] = ToolLink(organisation.id, server, self._dispatcher)
        return made

    def changed(self, organisation: str, name: str) -> None:
        """A server says that its tools have changed: it is listed anew before it is called."""
        link = self._links.get((organisation, name))
        if link is not None:
            link.listed = ()

    def tidy(self, now_s: float) -> None:
        """End what nobody has used for long."""
        for link in self._links.values():
            link.tidy(now_s)

    async def close(self) -> None:
        """End every session with every server."""
        for link in self._links.values():
            await link.close()


def _is_idle(channel: ChildChannel, now_s: float) -> bool:
    return channel.pid != 0 and channel.is_idle and now_s - channel.used_s > _IDLE_S


async def opened(link: ToolLink, introduction: bytes) -> Channel:
    """A channel for a legacy client, greeted, in whichever era the server speaks.

    Raises RingfenceError if it cannot be reached, McpError if it refuses the client.
    """
    if await link.era(Era.LEGACY) is Era.LEGACY:
        channel = link.session(introduction)
        try:
            await channel.open()
        except (RingfenceError, McpError):
            if channel.is_owned:
                background(channel.close())
            if link.speaks_legacy is None and await link.probed():
                link.speaks_legacy = False
            else:
                raise
        else:
            link.speaks_legacy = True
            return channel
    return link.own_modern()

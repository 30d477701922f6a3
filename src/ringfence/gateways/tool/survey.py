"""Surveys: a server is asked for all of its tools, and the registry is told what it says."""

import logging
from collections.abc import Sequence
from typing import Final, final

import msgspec

from ringfence.domain.error import PeerError
from ringfence.enforcement.tool_registry import ToolRegistry
from ringfence.gateways.tool.way import Way, page
from ringfence.protocols.mcp import identity, listing
from ringfence.protocols.tool_definition import read_definition
from ringfence.transport.clock import Clock

_LOG = logging.getLogger(__name__)

_STATED_MOST_MS: Final = 86_400_000


class _Held(msgspec.Struct):
    """What a page says of how long it holds (2026-07-28, SEP-2549)."""

    ttl_ms: float = msgspec.field(default=0, name="ttlMs")


_held: Final = msgspec.json.Decoder(_Held)


@final
class Surveys:
    """One for each door."""

    def __init__(self, registry: ToolRegistry, clock: Clock) -> None:
        """Nothing is asked yet."""
        self._registry = registry
        self._clock = clock

    async def known(self, way: Way) -> None:
        """See that the registry knows the server's tools. Raises FailedError, McpError."""
        if self._registry.source(way.link.organisation, way.link.server.name) is None:
            await self.survey(way)

    async def survey(self, way: Way) -> bytes:
        """Ask for all of a server's tools and tell the registry; gives the first page.

        While the last list holds, by what the server itself said of it, it is not asked again.
        """
        link = way.link
        now_us = self._clock.monotonic_us()
        known = self._registry.source(link.organisation, link.server.name)
        if known is not None and link.is_held(now_us):
            return link.listed[0]
        first = (await page(way, "tools/list", "")).result
        known = self._registry.source(link.organisation, link.server.name)
        if known is None or link.listed != (first,):  # else it was read when it came first
            await self._read(way, first)
        link.asked(now_us)
        return first

    async def _read(self, way: Way, first: bytes) -> None:
        """Read a list that is new, with the pages that follow."""
        link = way.link
        read = listing.read(first, "tools/list")
        raws, pages = [first], [read]
        while read.cursor and len(pages) < listing.PAGES_MOST:
            raws.append((await page(way, "tools/list", read.cursor)).result)
            read = listing.read(raws[-1], "tools/list")
            pages.append(read)
        known = self._registry.source(link.organisation, link.server.name)
        if known is None or link.listed != tuple(raws):
            version = identity.server_of(first, way.channel.greeting)
            self._observe(way, [entry for each in pages for entry in each.entries], version)
        link.listed = tuple(raws)
        link.held_ms = min(map(_held_ms, raws))

    def _observe(self, way: Way, entries: Sequence[bytes], version: str) -> None:
        server = way.link.server.name
        found = []
        for entry in entries:
            try:
                found.append(read_definition(server, entry))
            except PeerError as error:
                _LOG.warning("a tool of %s cannot be read and is not offered: %s", server, error)
        era = way.channel.era.value
        self._registry.observe(way.link.organisation, server, found, version, era)


def _held_ms(raw: bytes) -> int:
    """For how long a page says that it holds; 0 if it does not say so in a usable way."""
    try:
        said = _held.decode(raw).ttl_ms
    except (msgspec.DecodeError, UnicodeDecodeError):
        return 0
    return int(min(max(said, 0), _STATED_MOST_MS))

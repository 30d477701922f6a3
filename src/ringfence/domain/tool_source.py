"""What is known of all tools of one source: plain data, for the store and between processes.

A source is an MCP server of the configuration, by its name, or what one agent's client declares in
its model requests: `agent/<agent id>/<client>`.
"""

import msgspec


class ToolPin(msgspec.Struct, frozen=True, kw_only=True):
    """One tool as somebody trusts it; `raw` is its whole definition as it came.

    `pinned_by` is an actor, or `first use` where the first listing was trusted.
    """

    name: str
    pin: str
    raw: bytes
    pinned_us: int
    pinned_by: str


class ToolListing(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="tools.listing"
):
    """What one worker was told by a source; `raw` are definitions in the source's order.

    `version` is what the source says of itself (a server's name and version, a client's user
    agent), `era` the revision of the protocol or the dialect of the request.
    """

    organisation: str
    source: str
    raw: tuple[bytes, ...]
    version: str = ""
    era: str = ""
    seen_us: int = 0


class ToolSource(msgspec.Struct, frozen=True, kw_only=True, tag="tools.source"):
    """One source: its newest listing, and what of it is pinned, by name."""

    listing: ToolListing
    pins: tuple[ToolPin, ...] = ()


class ToolVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One definition that a tool has had, and when it was first and last listed."""

    name: str
    pin: str
    raw: bytes
    version: str
    first_us: int
    last_us: int


FIRST_USE = "first use"

"""Which permission tier an action has: how much harm it can do."""

from fnmatch import fnmatchcase

from ringfence.domain.tool import PermissionTier, ToolServer

UNNAMED = PermissionTier.CONSEQUENTIAL
"""Of a tool that no list names: nobody has said that it only reads."""

METHODS = PermissionTier.READ
"""Of what is asked of a tool server besides its tools: resources, prompts, completion."""

HOSTED = PermissionTier.CONSEQUENTIAL
"""Of a tool that a provider runs during a model call, out of our sight."""


_READING = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that are defined to change nothing (RFC 9110 section 9.2.1)."""


def tier_of_request(method: str, *, is_tunnel: bool) -> PermissionTier:
    """The tier of a request through egress; what is said inside of a tunnel may do anything."""
    is_reading = method in _READING and not is_tunnel
    return PermissionTier.READ if is_reading else PermissionTier.CONSEQUENTIAL


def tier_of(server: ToolServer, tool: str, origin: str = "") -> PermissionTier:
    """The tier of a tool by its server's lists; of several patterns that match, the highest.

    `origin` is the tool of the server that this one is made of by a view, if it is; its tier holds
    unless a list names the view.
    """
    matching = [tier for pattern, tier in server.tiers if fnmatchcase(tool, pattern)]
    if not matching and origin:
        return tier_of(server, origin)
    return max(matching, default=UNNAMED)
